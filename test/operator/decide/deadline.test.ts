import { describe, expect, test } from '@jest/globals';
import type { Observation } from '../../../operator/decide/observation.ts';
import { trainerState } from '../../../operator/decide/pods.ts';
import {
  aChild,
  after,
  aJob,
  anAnswer,
  aRecord,
  conditionOf,
  endedPod,
  leaves,
  pendingPod,
  play,
  runningPod,
  withSidecar,
} from '../observed.ts';

const jobs = [aChild(1)];

describe('startDeadlineSeconds', () => {
  const job = aJob({ startDeadlineSeconds: 60 });
  const saved = endedPod('a', 75, 100, leaves('Saved', aRecord('a', 90)));

  const neverStarted = endedPod('a', 128, 20);
  Object.assign(trainerState(neverStarted)?.terminated ?? {}, { startedAt: '1970-01-01T00:00:00Z' });

  test.each<[string, [number, Partial<Observation>][], string]>([
    ['no pod ever ran', [[60, { jobs, pods: [pendingPod('a')] }]], 'True'],
    ['the trainer runs', [[3600, { jobs, pods: [runningPod('a')] }]], 'False'],
    ['it ran beside another container', [[3600, { jobs, pods: [withSidecar(runningPod('a'))] }]], 'False'],
    ['only another container runs', [[60, { jobs, pods: [withSidecar(pendingPod('a'))] }]], 'True'],
    [
      'it ran, its pod was drained and the next one waits for a node',
      [
        [10, { jobs, pods: [runningPod('a')] }],
        [100, { jobs, pods: [saved, pendingPod('b')] }],
        [3600, { jobs, pods: [pendingPod('b')] }],
      ],
      'False',
    ],
    // The kubelet's word for it: a time of start that is zero.
    ['its container could not be started', [[60, { jobs, pods: [neverStarted] }]], 'True'],
  ])('%s: Failed is %s', (_what, looks, failed) => {
    const { status } = play(job, [[0, {}], ...looks]);
    expect(conditionOf(status, 'Failed')?.status).toBe(failed);
  });

  test('runs again from a resume', () => {
    const paused = aJob({ startDeadlineSeconds: 60, suspend: true });
    const { status } = play(job, [
      [0, {}],
      [10, { jobs, pods: [runningPod('a')] }],
    ]);
    const suspended = play({ ...paused, status }, [
      [100, { jobs, pods: [runningPod('a')] }],
      [130, {}],
    ]).status;
    expect(suspended.trainerStartTime).toBeUndefined();
    const waits = [aChild(2)];
    const resumed = (seconds: number): string | undefined =>
      conditionOf(
        play({ ...job, status: suspended }, [
          [1000, {}],
          [seconds, { jobs: waits, pods: [pendingPod('b')] }],
        ]).status,
        'Failed',
      )?.reason;
    expect([resumed(1059), resumed(1060)]).toEqual(['NotFailed', 'StartDeadlineExceeded']);
  });
});

test('when a trainer first ran is kept for the attempt, as its kubelet said it', () => {
  const { status } = play(aJob(), [
    [0, {}],
    [50, { jobs, pods: [endedPod('a', 1, 45), runningPod('b')] }],
    [90, { jobs, pods: [] }],
  ]);
  expect(status.trainerStartTime).toBe(after(0));
});

test('a kubelet whose clock is behind gives a trainer no seconds before its attempt', () => {
  const { status } = play(aJob(), [
    [30, {}],
    [40, { jobs, pods: [runningPod('a')] }],
  ]);
  expect(status.trainerStartTime).toBe(after(30));
});

test('seconds that trainers had are banked apart from seconds active', () => {
  const waited = aJob();
  const { status } = play(waited, [
    [0, {}],
    [100, { jobs, pods: [pendingPod('a')] }],
  ]);
  const ran = play({ ...aJob({ suspend: true }), status: { ...status, trainerStartTime: after(100) } }, [
    [130, { jobs, pods: [runningPod('a')] }],
    [160, {}],
  ]).status;
  expect([ran.activeSeconds, ran.trainerSeconds]).toEqual([130, 30]);
});

test('a trainer that fell silent plans no look of its own: its next answer does', () => {
  const job = aJob({ progressDeadlineSeconds: 60, activeDeadlineSeconds: 5000 });
  const answer = anAnswer(aRecord('a', 7));
  const { requeueAfter } = play(job, [
    [0, {}],
    [1000, { jobs, pods: [runningPod('a')], answer }],
  ]);
  expect(requeueAfter).toBe(4000);
});

test('progressDeadlineSeconds does not fail a job that is resumed while the trainer of before, which had beaten no more, is on its way out', () => {
  const job = aJob({ progressDeadlineSeconds: 60 });
  const pods = [runningPod('a')];
  const answer = { ...anAnswer(aRecord('a', 7)), answeredAt: after(200) };
  const leaving = jobs.map((one) => ({ ...one, metadata: { ...one.metadata, deletionTimestamp: after(10) } }));
  const { status } = play({ ...job, spec: { ...job.spec, suspend: true } }, [[10, { jobs, pods, answer }]]);
  const resumed = play({ ...job, status }, [[201, { jobs: leaving, pods, answer }]]);
  expect(conditionOf(resumed.status, 'Failed')?.status).toBe('False');
});
