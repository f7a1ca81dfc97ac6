import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import type { DPOJob } from '../../crds/dpojob.ts';
import type { Progress } from '../../crds/progress.ts';
import { trainerPort } from '../../crds/run-config.ts';
import { startControlPlane, type ControlPlane } from '../cluster/control-plane.ts';
import { KubectlWorld } from './kubectl-world.ts';
import { startOperator, type OperatorProcess } from './operator-process.ts';

jest.setTimeout(180_000);
let plane: ControlPlane;
let kubectl: KubectlWorld;
let operators: OperatorProcess[] = [];

beforeAll(async () => {
  plane = await startControlPlane();
  kubectl = new KubectlWorld(plane);
  kubectl.run(['apply', '--server-side', '-f', 'crds/dpojob.yaml']);
  kubectl.run(['wait', '--for=condition=Established', 'crd/dpojobs.training.dpo-operator.io', '--timeout=60s']);
});
afterEach(async () => {
  await Promise.all(operators.map((operator) => operator.stop('SIGKILL')));
  operators = [];
  plane.kubectl(['delete', 'lease', 'dpo-operator', '--ignore-not-found']);
});
afterAll(() => plane?.stop());

const example = parse(readFileSync('crds/examples/quickstart.yaml', 'utf8')) as DPOJob;
const stored = (name: string): DPOJob | undefined => kubectl.get<DPOJob>('dpojob', name);
const condition = (name: string, type: string): string | undefined =>
  stored(name)?.status?.conditions?.find((one) => one.type === type)?.status;
const apply = (name: string, changes: Partial<DPOJob['spec']> = {}): string =>
  kubectl.run(['apply', '--server-side', '-f', '-'], {
    ...example,
    metadata: { name },
    spec: { ...example.spec, ...changes },
  });
interface Pod {
  metadata: { name: string; uid: string };
}
const podsOf = (name: string): Pod[] =>
  kubectl.get<{ items: Pod[] }>('pods', '-l', `training.dpo-operator.io/dpojob=${name}`)?.items ?? [];
const jobsOf = (name: string): string[] =>
  (kubectl.get<{ items: Pod[] }>('jobs', '-l', `training.dpo-operator.io/dpojob=${name}`)?.items ?? []).map(
    ({ metadata }) => metadata.name,
  );

async function start(name: string, environment: Record<string, string> = {}): Promise<OperatorProcess> {
  const operator = await startOperator(plane, name, environment);
  operators.push(operator);
  return operator;
}

async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > deadline) {
      const logs = operators.map(({ log }) => JSON.stringify(log.slice(-10))).join('\n');
      throw new Error(`${what}: not so after ${seconds} s\n${kubectl.run(['get', 'dpojob', '-o', 'yaml'])}\n${logs}`);
    }
    await sleep(100);
  }
}

/** Plays the kubelet: the only pod's status becomes this. */
function setPod(name: string, status: object): void {
  const pod = podsOf(name)[0]?.metadata.name ?? '';
  kubectl.run(['patch', 'pod', pod, '--subresource=status', '--type=merge', '-p', JSON.stringify({ status })]);
}
/** Plays the scheduler, which has no node here: the only pod is bound to one. */
function bindPod(name: string): void {
  const pod = podsOf(name)[0]?.metadata.name ?? '';
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: pod },
    target: { kind: 'Node', name: 'node' },
  };
  kubectl.run(['create', '--raw', `/api/v1/namespaces/default/pods/${pod}/binding`, '-f', '-'], binding);
}
const container = (state: object): object[] => [
  { name: 'trainer', image: 'i', imageID: '', ready: false, restartCount: 0, state },
];
const progressOf = (podUID: string, more: Partial<Progress> = {}): Progress => ({
  podUID,
  attempt: 1,
  heartbeat: 1,
  time: new Date().toISOString(),
  stage: 'Training',
  step: 3,
  totalSteps: 9,
  stageStep: 3,
  stageTotal: 9,
  epoch: 0.33,
  percent: 40,
  metrics: { loss: 0.6543217, beta: 0.1, rewardMargin: 0.25 },
  warnings: [],
  ...more,
});
const ended = (exitCode: number, message: string): object => {
  const time = new Date().toISOString();
  const reason = exitCode === 0 ? 'Completed' : 'Error';
  return {
    phase: exitCode === 0 ? 'Succeeded' : 'Failed',
    containerStatuses: container({ terminated: { exitCode, reason, message, startedAt: time, finishedAt: time } }),
  };
};

/** A trainer's /progress, at an address of loopback that a pod is given. */
async function trainerAt(address: string, answer: () => Progress): Promise<Server> {
  const server = createServer((_request, response) => response.end(JSON.stringify(answer())));
  await new Promise<void>((resolve) => server.listen(trainerPort, address, resolve));
  return server;
}

test('a job runs from apply to Complete: Job, polled figures, status, metrics, Events', async () => {
  const operator = await start('one');
  apply('whole');
  await until('a pod', () => podsOf('whole').length === 1);
  const uid = podsOf('whole')[0]?.metadata.uid ?? '';
  const trainer = await trainerAt('127.0.0.7', () => progressOf(uid));
  bindPod('whole');
  setPod('whole', {
    phase: 'Running',
    podIP: '127.0.0.7',
    podIPs: [{ ip: '127.0.0.7' }],
    containerStatuses: container({ running: { startedAt: new Date().toISOString() } }),
  });
  await until('figures', () => stored('whole')?.status?.metrics?.loss !== undefined);
  expect(stored('whole')?.status).toMatchObject({
    state: 'Running',
    progress: { stage: 'Training', step: 3, totalSteps: 9 },
    metrics: { loss: 0.654322, beta: 0.1, rewardMargin: 0.25 },
  });
  expect(condition('whole', 'Training')).toBe('True');
  trainer.close();
  const last = progressOf(uid, {
    stage: 'Done',
    step: 9,
    percent: 100,
    metrics: { loss: 0.5, beta: 0.1, rewardMargin: 2 },
  });
  setPod('whole', ended(0, JSON.stringify({ reason: 'Complete', message: 'done', progress: last })));
  await until('Complete', () => condition('whole', 'Complete') === 'True');
  expect(stored('whole')?.status?.metrics).toEqual({ loss: 0.5, beta: 0.1, rewardMargin: 2 });
  const labels = 'namespace="default",dpojob="whole"';
  const text = await operator.metrics();
  expect(text).toContain(`dpo_job_loss{${labels}} 0.5\n`);
  expect(text).toContain(`dpo_job_reward_margin{${labels}} 2\n`);
  expect(text).toContain(`dpo_job_state{${labels},state="Complete"} 1\n`);
  const events = kubectl.get<{ items: { reason: string }[] }>('events')?.items.map(({ reason }) => reason);
  expect(events).toEqual(expect.arrayContaining(['Started', 'Complete']));
  expect(kubectl.run(['get', 'dpoj', 'whole'])).toMatch(/whole +Complete +9 +0.5 +2/);

  kubectl.run(['delete', 'dpojob', 'whole']);
  await until('no series', async () => !(await operator.metrics()).includes('dpojob="whole"'));
  expect(await operator.stop()).toBe(0);
  expect(operator.log.at(-1)?.['message']).toBe('stopped');
  expect(operator.log.filter(({ level }) => level === 'error')).toEqual([]);
});

test('of two operators one leads; when it is killed the other takes over, makes nothing twice and shows the figures', async () => {
  const first = await start('first');
  await until('a leader', () => first.leads());
  const second = await start('second');
  await until('a ready standby', () => second.ready());
  apply('kept');
  await until('a pod', () => podsOf('kept').length === 1);
  const progress = progressOf(podsOf('kept')[0]?.metadata.uid ?? '', { stage: 'Done' });
  setPod('kept', ended(0, JSON.stringify({ reason: 'Complete', message: '', progress })));
  await until('Complete', () => condition('kept', 'Complete') === 'True');
  apply('left');
  await until('a pod', () => podsOf('left').length === 1);
  expect([await second.leads(), (await second.metrics()).includes('dpojob="kept"')]).toEqual([false, false]);

  await first.stop('SIGKILL');
  apply('after');
  await until('the other leads', () => second.leads(), 30);
  expect(await second.metrics()).toContain('dpo_job_loss{namespace="default",dpojob="kept"} 0.654322\n');
  await until('a pod', () => podsOf('after').length === 1);
  await sleep(1000);
  expect([jobsOf('kept'), jobsOf('left'), jobsOf('after')]).toEqual([['kept-1'], ['left-1'], ['after-1']]);
});

test('a leader that stops gives its lease back: the next leads at once, and finds what ended meanwhile', async () => {
  const first = await start('first');
  apply('meanwhile');
  await until('a pod', () => podsOf('meanwhile').length === 1);
  expect(await first.stop()).toBe(0);
  setPod('meanwhile', ended(65, JSON.stringify({ reason: 'InvalidData', message: 'line 7: no chosen answer' })));
  await until('the Job failed', () =>
    kubectl.run(['get', 'job', 'meanwhile-1', '-o', 'yaml']).includes('PodFailurePolicy'),
  );
  apply('meanwhile', { suspend: true });
  const second = await start('second');
  await until('a leader', () => second.leads(), 5);
  await until('Failed', () => condition('meanwhile', 'Failed') === 'True');
  expect(stored('meanwhile')?.status?.lastFailure).toMatchObject({
    reason: 'InvalidData',
    message: 'line 7: no chosen answer',
  });
});

test('an operator of one namespace leaves the others alone', async () => {
  kubectl.run(['create', 'namespace', 'mine']);
  const operator = await start('narrow', { WATCH_NAMESPACES: 'mine' });
  await until('a leader', () => operator.leads());
  apply('elsewhere');
  kubectl.run(['apply', '--server-side', '-n', 'mine', '-f', '-'], { ...example, metadata: { name: 'here' } });
  await until('a Job', () => kubectl.get<{ items: Pod[] }>('jobs', '-n', 'mine')?.items.length === 1);
  expect(jobsOf('elsewhere')).toEqual([]);
});

test('TTL deletes a finished job to the second, counted from its completion', async () => {
  await start('one');
  apply('brief', { ttlSecondsAfterFinished: 3 });
  await until('a pod', () => podsOf('brief').length === 1);
  setPod('brief', ended(0, ''));
  await until('Complete', () => condition('brief', 'Complete') === 'True');
  const completed = Date.parse(stored('brief')?.status?.completionTime ?? '');
  await until('gone', () => stored('brief') === undefined);
  expect(Date.now() - completed).toBeGreaterThanOrEqual(3000);
});
