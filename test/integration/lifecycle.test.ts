import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { conditionTypes } from '../../crds/conditions.ts';
import type { DPOJob } from '../../crds/dpojob.ts';
import type { ObservedPod } from '../../operator/decide/observation.ts';
import { reconcile } from '../../operator/reconcile.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { KubectlWorld } from './kubectl-world.ts';

jest.setTimeout(180_000);
let plane: ControlPlane;
let world: KubectlWorld;

beforeAll(async () => {
  plane = await startControlPlane();
  world = new KubectlWorld(plane);
  world.run(['apply', '--server-side', '-f', 'crds/dpojob.yaml']);
  world.run(['wait', '--for=condition=Established', 'crd/dpojobs.training.dpo-operator.io', '--timeout=60s']);
});
afterAll(() => plane?.stop());

const example = parse(readFileSync('crds/examples/quickstart.yaml', 'utf8')) as DPOJob;
const stored = (name: string): DPOJob => world.get<DPOJob>('dpojob', name) as DPOJob;
const status = (name: string, type: string): string | undefined =>
  stored(name).status?.conditions?.find((one) => one.type === type)?.status;

/** Applies the quickstart example under a name, with changes. */
function apply(name: string, changes: Partial<DPOJob['spec']> = {}): void {
  const job = { ...example, metadata: { name }, spec: { ...example.spec, ...changes } };
  world.run(['apply', '--server-side', '-f', '-'], job);
}

/** Reconciles again and again, as the loop would, until it holds. */
async function until(name: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) {
      throw new Error(`still not so after a minute: ${JSON.stringify(world.get('dpojob', name))}`);
    }
    await reconcile(world, 'default', name);
    await sleep(200);
  }
}

const pods = (name: string): ObservedPod[] =>
  world.get<{ items: ObservedPod[] }>('pods', '-l', `training.dpo-operator.io/dpojob=${name}`)?.items ?? [];
const jobs = (name: string): string[] =>
  world
    .run(['get', 'jobs', '-l', `training.dpo-operator.io/dpojob=${name}`, '-o', 'name'])
    .split('\n')
    .filter((line) => line !== '');

/** Plays the kubelet: the trainer of the only pod ended with an exit code. */
function end(name: string, exitCode: number, message = ''): void {
  const pod = pods(name)[0]?.metadata.name ?? '';
  const time = new Date().toISOString();
  const terminated = {
    exitCode,
    message,
    startedAt: time,
    finishedAt: time,
    reason: exitCode === 0 ? 'Completed' : 'Error',
  };
  const container = { name: 'trainer', image: 'i', imageID: '', ready: false, restartCount: 0, state: { terminated } };
  const patch = { status: { phase: exitCode === 0 ? 'Succeeded' : 'Failed', containerStatuses: [container] } };
  world.run(['patch', 'pod', pod, '--subresource=status', '--type=merge', '-p', JSON.stringify(patch)]);
}

test('a DPOJob gets one Job and all conditions; a second operator makes nothing more', async () => {
  apply('first');
  await until('first', () => pods('first').length === 1);
  const other = new KubectlWorld(plane);
  await Promise.all([reconcile(world, 'default', 'first'), reconcile(other, 'default', 'first')]);
  expect(jobs('first')).toEqual(['job.batch/first-1']);
  expect(stored('first').status?.conditions?.map(({ type }) => type)).toEqual([...conditionTypes]);
  await until(
    'first',
    () => stored('first').status?.conditions?.some(({ reason }) => reason === 'Unschedulable') ?? false,
  );
});

test('a trainer that ends well completes the job, and the operator deletes it after its TTL', async () => {
  apply('done', { ttlSecondsAfterFinished: 3600 });
  await until('done', () => pods('done').length === 1);
  end('done', 0);
  await until('done', () => status('done', 'Complete') === 'True');
  expect(jobs('done')).toEqual(['job.batch/done-1']);
  world.ahead = 3601;
  await until('done', () => world.get('dpojob', 'done') === undefined);
  world.ahead = 0;
});

test('a permanent exit code fails the job at once, with its name and the last words; it stays failed', async () => {
  apply('bad');
  await until('bad', () => pods('bad').length === 1);
  end('bad', 65, JSON.stringify({ reason: 'InvalidData', message: 'line 7: no chosen answer' }));
  await until('bad', () => status('bad', 'Failed') === 'True');
  expect(stored('bad').status?.lastFailure).toMatchObject({ reason: 'InvalidData', exitCode: 65 });
  expect(stored('bad').status?.lastFailure?.message).toBe('line 7: no chosen answer');
  world.run(['delete', 'job', 'bad-1']);
  await reconcile(world, 'default', 'bad');
  expect(jobs('bad')).toEqual([]);
});

test('suspend removes the Job, resume makes the next attempt', async () => {
  apply('pause');
  await until('pause', () => pods('pause').length === 1);
  apply('pause', { suspend: true });
  await until('pause', () => status('pause', 'Suspended') === 'True');
  expect([jobs('pause'), pods('pause')]).toEqual([[], []]);
  apply('pause', { suspend: false });
  await until('pause', () => pods('pause').length === 1);
  expect(jobs('pause')).toEqual(['job.batch/pause-2']);
  expect(status('pause', 'Suspended')).toBe('False');
});

test('a job that never starts fails at its start deadline and frees what it held', async () => {
  apply('late', { startDeadlineSeconds: 600 });
  await until('late', () => pods('late').length === 1);
  world.ahead = 601;
  await until('late', () => status('late', 'Failed') === 'True' && jobs('late').length === 0);
  world.ahead = 0;
  expect(stored('late').status?.conditions?.find(({ type }) => type === 'Failed')?.reason).toBe(
    'StartDeadlineExceeded',
  );
});

test('a deleted DPOJob takes its children with it', async () => {
  apply('gone');
  await until('gone', () => pods('gone').length === 1);
  world.run(['delete', 'dpojob', 'gone', '--cascade=foreground', '--timeout=60s']);
  expect([jobs('gone'), pods('gone')]).toEqual([[], []]);
});

test("a Job of the same name that is someone else's is left alone and named", async () => {
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } };
  world.run(['create', '-f', '-'], {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'taken-1' },
    spec: { template },
  });
  apply('taken');
  await reconcile(world, 'default', 'taken');
  expect(status('taken', 'Accepted')).toBe('False');
  expect(world.events.at(-1)?.reason).toBe('NameTaken');
});
