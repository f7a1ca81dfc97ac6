import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import type { DPOJob } from '../../../crds/dpojob.ts';
import { registerJobMetrics } from '../../../operator/serve/job-metrics.ts';
import { ControllerMetrics } from '../../../operator/serve/controller-metrics.ts';
import { controllerNames, jobDataMeasureNames, jobGaugeNames, jobRunNames } from '../../../operator/serve/names.ts';
import { serve } from '../../../operator/serve/server.ts';
import { aJob } from '../observed.ts';

const running = (): DPOJob => ({
  ...aJob({ accelerator: { count: 1 } }),
  status: {
    state: 'Running',
    data: { pairs: 9, heldOut: 1, findings: { DuplicateRows: 3 }, measures: { lengthBias: 0.75 } },
    metrics: { loss: 0.5, beta: 0.1, rewardMargin: 1.25 },
    activeSeconds: 900,
    trainerSeconds: 100,
    attemptStartTime: '2025-12-31T23:00:00Z',
    trainerStartTime: '2026-01-01T00:00:00Z',
    completionTime: '2026-01-01T00:00:50Z',
  },
});

test("the leader shows each job's figures; they go with the job and are the leader's only", async () => {
  const registry = new Registry();
  let jobs = [running()];
  let leads = false;
  registerJobMetrics(
    registry,
    () => jobs,
    () => leads,
  );
  expect(await registry.metrics()).not.toContain('dpojob=');
  leads = true;
  const text = await registry.metrics();
  const labels = 'namespace="team",dpojob="quickstart"';
  expect(text).toContain(`dpo_job_loss{${labels}} 0.5\n`);
  expect(text).toContain(`dpo_job_beta{${labels}} 0.1\n`);
  expect(text).toContain(`dpo_job_reward_margin{${labels}} 1.25\n`);
  expect(text).toContain(`dpo_job_accelerator_seconds{${labels}} 150\n`);
  expect(text).toContain(`dpo_job_state{${labels},state="Running"} 1\n`);
  expect(text).toContain(`dpo_job_data_findings{${labels},reason="DuplicateRows"} 3\n`);
  expect(text).toContain(`dpo_job_data_length_bias{${labels}} 0.75\n`);
  expect(text).not.toContain(`dpo_job_eval_loss{`);
  jobs = [];
  expect(await registry.metrics()).not.toContain('dpojob=');
});

test('a failed job shows why, by the reason of its condition', async () => {
  const registry = new Registry();
  const failed = (status: 'True' | 'False', reason: string): DPOJob => ({
    ...running(),
    status: {
      conditions: [{ type: 'Failed', status, reason, message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }],
    },
  });
  registerJobMetrics(
    registry,
    () => [failed('False', 'NotFailed'), failed('True', 'NonFinite')],
    () => true,
  );
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('dpo_job_failed'));
  expect(lines).toEqual(['dpo_job_failed{namespace="team",dpojob="quickstart",reason="NonFinite"} 1']);
});

test('what is amiss with a job that is not over is shown by its reason', async () => {
  const registry = new Registry();
  const has = (state: 'Starting' | 'Failed', reason: string): DPOJob => ({ ...running(), status: { state, reason } });
  registerJobMetrics(
    registry,
    () => [has('Starting', 'ImagePullFailed'), has('Failed', 'OOMKilled'), running()],
    () => true,
  );
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('dpo_job_amiss'));
  expect(lines).toEqual(['dpo_job_amiss{namespace="team",dpojob="quickstart",reason="ImagePullFailed"} 1']);
});

test('a job that another controller manages is not shown', async () => {
  const registry = new Registry();
  const theirs = { ...running(), spec: { ...running().spec, managedBy: 'kueue.x-k8s.io/multikueue' } };
  registerJobMetrics(
    registry,
    () => [theirs],
    () => true,
  );
  expect(await registry.metrics()).not.toContain('dpojob="quickstart"');
});

test('a job that waits for a node has used no accelerator yet', async () => {
  const registry = new Registry();
  const waits = { ...running(), status: { state: 'Pending' as const, attemptStartTime: '2026-01-01T00:00:00Z' } };
  registerJobMetrics(
    registry,
    () => [waits],
    () => true,
  );
  expect(await registry.metrics()).toContain('dpo_job_accelerator_seconds{namespace="team",dpojob="quickstart"} 0\n');
});

test('every name is registered once, and names of the tables are all there are', async () => {
  const registry = new Registry();
  const metrics = new ControllerMetrics(registry);
  registerJobMetrics(
    registry,
    () => [],
    () => true,
  );
  metrics.reconciled('error', 0.1);
  metrics.requested('GET', 200, 0.1);
  metrics.watching('pods').beat();
  const text = await registry.metrics();
  const names = [jobGaugeNames, jobRunNames, jobDataMeasureNames, controllerNames].flatMap((table) =>
    Object.values(table),
  );
  for (const name of names) expect(text).toContain(`# HELP ${name} `);
  expect(text).toContain('controller_runtime_reconcile_errors_total{controller="dpojob"} 1');
  expect(text).toMatch(/dpo_operator_watch_last_event_age_seconds\{resource="pods"\} 0/);
});

test('the server answers its paths only', async () => {
  const server = await serve(0, {
    '/healthz': async () => ({ status: 200, body: 'ok' }),
    '/bad': () => Promise.reject(new Error('broken')),
  });
  const get = async (path: string, method = 'GET'): Promise<number> =>
    (await fetch(`http://127.0.0.1:${server.port}${path}`, { method })).status;
  expect([await get('/healthz?a=b'), await get('/'), await get('/bad'), await get('/healthz', 'POST')]).toEqual([
    200, 404, 500, 404,
  ]);
  await server.close();
});
