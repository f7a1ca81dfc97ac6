import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { conditionTypes } from '../../crds/conditions.ts';
import { leaves, progressOf, trainerAt, Workplace, type Pod } from './workplace.ts';

/** What becomes of a job, by the operator's program on a real API server with the real Job controller. */
jest.setTimeout(180_000);
let place: Workplace;

beforeAll(async () => {
  place = await Workplace.open();
  await place.start('one');
});
afterAll(() => place?.close());

test('a DPOJob gets one Job, every condition, and the word of the scheduler', async () => {
  place.apply('first');
  await place.pod('first');
  await place.until('Unschedulable', () => place.condition('first', 'PodsReady').reason === 'Unschedulable');
  expect(place.jobsOf('first')).toEqual(['first-1']);
  expect(place.stored('first')?.status?.conditions?.map(({ type }) => type)).toEqual([...conditionTypes]);
  expect(place.condition('first', 'Accepted').status).toBe('True');
});

describe('a trainer that ends', () => {
  const free: [string, number, string, object[]][] = [
    ['saved', 75, 'Saved', []],
    ['killed', 143, 'Terminated', []],
    [
      'drained',
      137,
      'EvictionByEvictionAPI',
      [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }],
    ],
  ];
  // All at once: the Job controller waits ten seconds with the next pod.
  beforeAll(async () => {
    place.apply('worn', { backoffLimit: 1 });
    for (const [name] of free) place.apply(name, { backoffLimit: 0 });
    place.end(await place.pod('worn'), 1, leaves('InternalError', 'block 3 failed'));
    for (const [name, exitCode, , conditions] of free) {
      const pod = await place.pod(name);
      place.end(pod, exitCode, leaves('Running', '', progressOf(pod)), conditions);
    }
  });

  test('with a permanent exit code fails the job at once, with its name and last words; it stays failed', async () => {
    place.apply('bad');
    place.end(await place.pod('bad'), 65, leaves('InvalidData', 'line 7: no chosen answer'));
    await place.until('Failed', () => place.isTrue('bad', 'Failed'));
    expect(place.condition('bad', 'Failed')).toMatchObject({
      reason: 'InvalidData',
      message: 'line 7: no chosen answer',
    });
    place.kubectl.run(['delete', 'job', 'bad-1']);
    place.apply('bad', { ttlSecondsAfterFinished: 3600 });
    await place.until('seen', () => place.stored('bad')?.status?.observedGeneration === 2);
    expect([place.jobsOf('bad'), place.isTrue('bad', 'Failed')]).toEqual([[], true]);
  });

  test.each(free)('%s (exit code %d) is replaced for free', async (name, exitCode, reason) => {
    const next = await place.pod(name, 2);
    await place.until('counted', () => place.stored(name)?.status?.restarts === 1);
    expect(place.stored(name)?.status).toMatchObject({ attempt: 1, lastFailure: { exitCode, reason } });
    expect(place.stored(name)?.status?.restartsWithoutProgress).toBe(name === 'drained' ? 0 : 1);
    expect(place.isTrue(name, 'Failed')).toBe(false);
    place.end(next, 0, leaves('Complete', '', progressOf(next, { stage: 'Done' })));
    await place.until('Complete', () => place.isTrue(name, 'Complete'));
  });

  test('more often than backoffLimit fails the job with the last words', async () => {
    place.end(await place.pod('worn', 2), 1, leaves('InternalError', 'block 4 failed'));
    await place.until('Failed', () => place.isTrue('worn', 'Failed'));
    expect(place.condition('worn', 'Failed')).toMatchObject({
      reason: 'BackoffLimitExceeded',
      message: 'gave up after backoffLimit (1); the last failure: InternalError: block 4 failed',
    });
    expect(place.stored('worn')?.status).toMatchObject({ restarts: 2, attempt: 1 });
  });
});

test('suspend lets the trainer save, keeps what it saved and counts no restart; resume makes the next attempt', async () => {
  place.apply('pause');
  const pod = await place.pod('pause');
  place.run(pod);
  await place.until('Running', () => place.stored('pause')?.status?.state === 'Running');
  place.apply('pause', { suspend: true });
  await place.until('told to stop', () =>
    place.kubectl.run(['get', 'pod', pod.metadata.name, '-o', 'yaml']).includes('deletionTimestamp'),
  );
  expect(place.isTrue('pause', 'Suspended')).toBe(false);
  const checkpoint = { step: 4, time: new Date().toISOString() };
  place.end(pod, 75, leaves('Saved', '', progressOf(pod, { step: 4, checkpoint })));
  place.confirmGone(pod);
  await place.until('Suspended', () => place.isTrue('pause', 'Suspended'));
  expect([place.jobsOf('pause'), place.podsOf('pause')]).toEqual([[], []]);
  const { status } = place.stored('pause') ?? {};
  expect(status).toMatchObject({ state: 'Suspended', restarts: 0, checkpoint: { step: 4 }, progress: { step: 4 } });
  expect(status?.lastFailure).toBeUndefined();
  place.apply('pause', { suspend: false });
  await place.pod('pause');
  expect(place.jobsOf('pause')).toEqual(['pause-2']);
  expect(place.isTrue('pause', 'Suspended')).toBe(false);
});

test('a Job that kubectl deletes is made again once its trainer has saved and stopped, and not before', async () => {
  place.apply('byhand');
  const pod = await place.pod('byhand');
  place.run(pod);
  await place.until('Running', () => place.stored('byhand')?.status?.state === 'Running');
  const [before] =
    place.kubectl.get<{ items: Pod[] }>('jobs', '-l', 'training.dpo-operator.io/dpojob=byhand')?.items ?? [];
  place.kubectl.run(['delete', 'job', 'byhand-1', '--wait=false']);
  await place.until('told to stop', () =>
    place.kubectl.run(['get', 'pod', pod.metadata.name, '-o', 'yaml']).includes('deletionTimestamp'),
  );
  expect(place.jobsOf('byhand')).toEqual([]);
  await sleep(3000);
  expect([place.jobsOf('byhand'), place.podsOf('byhand').length]).toEqual([[], 1]);
  const checkpoint = { step: 4, time: new Date().toISOString() };
  place.end(pod, 75, leaves('Saved', '', progressOf(pod, { step: 4, checkpoint })));
  await place.until('made again', () => place.jobsOf('byhand').join() === 'byhand-1');
  expect(place.kubectl.get<Pod>('job', 'byhand-1')?.metadata.uid).not.toBe(before?.metadata.uid);
  place.confirmGone(pod);
  await place.pod('byhand');
  expect(place.stored('byhand')?.status).toMatchObject({ attempt: 1, restarts: 1, checkpoint: { step: 4 } });
});

describe('a deadline that passes fails the job and frees what it held:', () => {
  test('startDeadlineSeconds without a trainer', async () => {
    place.apply('late', { startDeadlineSeconds: 2 });
    await place.until('Failed', () => place.isTrue('late', 'Failed') && place.jobsOf('late').length === 0);
    expect(place.condition('late', 'Failed').reason).toBe('StartDeadlineExceeded');
  });

  test('but not once a trainer ran and its pod was replaced by one that waits', async () => {
    place.apply('moved', { startDeadlineSeconds: 10 });
    const pod = await place.pod('moved');
    place.run(pod);
    await place.until('Running', () => place.stored('moved')?.status?.trainerStartTime !== undefined);
    place.end(pod, 143);
    const next = await place.pod('moved', 2);
    place.confirmGone(pod);
    const begun = Date.parse(place.stored('moved')?.status?.attemptStartTime ?? '');
    await sleep(begun + 12_000 - Date.now());
    expect(place.condition('moved', 'Failed').status).toBe('False');
    expect(place.podsOf('moved').map(({ metadata }) => metadata.uid)).toEqual([next.metadata.uid]);
  });

  test('activeDeadlineSeconds of a trainer that runs', async () => {
    place.apply('long', { activeDeadlineSeconds: 6 });
    const pod = await place.pod('long');
    place.run(pod);
    await place.until('Failed', () => place.isTrue('long', 'Failed'));
    expect(place.condition('long', 'Failed').reason).toBe('DeadlineExceeded');
    place.end(pod, 75, leaves('Saved', '', progressOf(pod, { step: 5 })));
    place.confirmGone(pod);
    await place.until('no Job', () => place.jobsOf('long').length === 0);
    await place.until('the last record', () => place.stored('long')?.status?.progress?.step === 5);
    expect(place.stored('long')?.status).toMatchObject({ state: 'Failed', restarts: 0 });
  });

  test('progressDeadlineSeconds of one that answers and does nothing', async () => {
    place.apply('stuck', { progressDeadlineSeconds: 4 });
    const pod = await place.pod('stuck');
    const trainer = await trainerAt('127.0.0.8', () => progressOf(pod));
    place.run(pod, '127.0.0.8');
    await place.until('Failed', () => place.isTrue('stuck', 'Failed'));
    trainer.close();
    expect(place.condition('stuck', 'Failed')).toMatchObject({
      reason: 'ProgressDeadlineExceeded',
      message: expect.stringContaining('in stage Training'),
    });
    place.confirmGone(pod);
  });
});

test('TTL deletes a finished job to the second, counted from its completion', async () => {
  place.apply('brief', { ttlSecondsAfterFinished: 5 });
  place.end(await place.pod('brief'), 0);
  await place.until('Complete', () => place.isTrue('brief', 'Complete'));
  const completed = Date.parse(place.stored('brief')?.status?.completionTime ?? '');
  await place.until('gone', () => place.stored('brief') === undefined);
  expect(Date.now() - completed).toBeGreaterThanOrEqual(5000);
});

test('a deleted DPOJob takes its children with it', async () => {
  place.apply('gone');
  await place.pod('gone');
  place.kubectl.run(['delete', 'dpojob', 'gone', '--cascade=foreground', '--timeout=60s']);
  expect([place.jobsOf('gone'), place.podsOf('gone')]).toEqual([[], []]);
});

test("a Job of the same name that is someone else's is left alone and named, until it goes", async () => {
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } };
  const foreign = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'taken-1' }, spec: { template } };
  place.kubectl.run(['create', '-f', '-'], foreign);
  place.apply('taken');
  await place.until('refused', () => place.condition('taken', 'Accepted').status === 'False');
  expect(place.condition('taken', 'Accepted')).toMatchObject({
    reason: 'NameTaken',
    message: 'Job taken-1 exists and belongs to something else: delete or rename it',
  });
  await place.until('told', () => place.eventsOf('taken').includes('NameTaken'));
  expect(place.jobsOf('taken')).toEqual([]);
  place.kubectl.run(['delete', 'job', 'taken-1']);
  await place.until('accepted', () => place.isTrue('taken', 'Accepted') && place.jobsOf('taken').length === 1);
});
