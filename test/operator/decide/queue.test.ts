import { describe, expect, test } from '@jest/globals';
import type { Observation, ObservedJob } from '../../../operator/decide/observation.ts';
import {
  aChild,
  after,
  aJob,
  aRecord,
  conditionOf,
  endedPod,
  leaves,
  pendingPod,
  play,
  runningPod,
} from '../observed.ts';

type Look = [seconds: number, seen: Partial<Observation>];
const held = [aChild(1, { spec: { suspend: true } })];
const jobs = [aChild(1, { spec: { suspend: false } })];
const saved = endedPod('a', 75, 1060, leaves('Saved', aRecord('a', 40)));

describe('a Job that a queue holds back', () => {
  test('is Queued, names the queue, and is told of once', () => {
    const job = aJob();
    job.metadata.labels = { 'kueue.x-k8s.io/queue-name': 'gpus' };
    const { status, events } = play(job, [
      [0, {}],
      [1, { jobs: held }],
    ]);
    expect(status.state).toBe('Queued');
    expect(conditionOf(status, 'PodsReady')).toMatchObject({
      reason: 'Queued',
      message: 'queue gpus has not admitted the Job',
    });
    expect(events).toEqual([{ type: 'Normal', reason: 'Queued', message: 'queue gpus has not admitted the Job' }]);
    expect(play({ ...job, status }, [[9, { jobs: held }]]).events).toEqual([]);
  });

  test.each([
    ['activeDeadlineSeconds', 'DeadlineExceeded'],
    ['startDeadlineSeconds', 'StartDeadlineExceeded'],
  ])('has no seconds counted to %s; admitted, it has them all', (field, reason) => {
    const job = aJob({ [field]: 60 });
    const waits: Look[] = [
      [0, {}],
      [1, { jobs: held }],
      [1000, { jobs: held }],
    ];
    const queued = play(job, waits);
    expect([queued.status.state, queued.requeueAfter, queued.actions]).toEqual(['Queued', undefined, []]);
    const admitted = (seconds: number): string | undefined =>
      conditionOf(
        play(job, [...waits, [1000, { jobs }], [seconds, { jobs, pods: [pendingPod('a')] }]]).status,
        'Failed',
      )?.reason;
    // The second before the queue was seen counts as active.
    const first = field === 'activeDeadlineSeconds' ? 1 : 0;
    expect([admitted(1059 - first), admitted(1060 - first)]).toEqual(['NotFailed', reason]);
  });

  test('and admits, whose trainer stops while nobody looks: that is a restart', () => {
    const { status } = play(aJob(), [
      [0, {}],
      [1, { jobs: held }],
      [2000, { jobs, pods: [saved, pendingPod('b')] }],
    ]);
    expect(status).toMatchObject({ restarts: 1, lastFailure: { exitCode: 75 } });
  });

  test('by eviction banks what it had, counts no restart, and resumes in the same attempt', () => {
    const looks: Look[] = [
      [0, {}],
      [50, { jobs, pods: [runningPod('a')] }],
      [1050, { jobs: held, pods: [runningPod('a')] }],
      [1061, { jobs: held, pods: [saved] }],
      [1070, { jobs: held }],
    ];
    expect(play(aJob(), looks.slice(0, 3)).status).toMatchObject({ state: 'Queued' });
    const evicted = play(aJob(), looks).status;
    expect(evicted).toMatchObject({
      state: 'Queued',
      activeSeconds: 1050,
      trainerSeconds: 1050,
      restarts: 0,
      attempt: 1,
    });
    expect([evicted.attemptStartTime, evicted.trainerStartTime, evicted.lastFailure]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    const { status, actions } = play(aJob(), [...looks, [5000, { jobs, pods: [pendingPod('b')] }]]);
    expect(status).toMatchObject({ attempt: 1, attemptStartTime: after(5000), activeSeconds: 1050, restarts: 0 });
    expect(actions).toEqual([]);
  });

  describe('three times, and each pod stays to be seen by a standby that then takes over,', () => {
    const evicted = [100, 300, 500].map((at) => {
      const pod = endedPod(`p${at}`, 75, at, leaves('Saved', aRecord(`p${at}`, 4)));
      return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: after(at + 20) } };
    });
    const resumed = { type: 'Suspended', status: 'False', reason: 'JobResumed', lastTransitionTime: after(510) };
    const admitted = aChild(1, { spec: { suspend: false }, status: { conditions: [resumed] } });
    const takesOver = (job: ObservedJob): Look[] =>
      [520, 540].map((at) => [at, { jobs: [job], pods: [...evicted, runningPod('b')] }]);
    const queued: Look = [50, { jobs: held }];
    const seen = evicted.map((_, i): Look => [501 + i, { jobs: held, pods: evicted.slice(0, i + 1) }]);

    test.each<[string, Look[]]>([
      ['counts none, since the leader passed them over', [queued, ...seen, ...takesOver(aChild(1))]],
      ['counts none, while it waits again', [[501, { jobs: held, pods: evicted }], ...seen, ...takesOver(aChild(1))]],
      ['counts none, though no leader saw their ends', [queued, ...takesOver(aChild(1))]],
      ['counts none, though the leader noted none', [queued, [511, { jobs: [admitted] }], ...takesOver(admitted)]],
    ])('%s', (_why, looks) => {
      const { status, events } = play(aJob(), [[0, {}], ...looks]);
      expect(status).toMatchObject({ state: 'Running', restarts: 0, attempt: 1 });
      expect([events, status.lastFailure]).toEqual([[], undefined]);
    });

    test('still counts the ends of pods that the Job made when it ran again', () => {
      const ended = endedPod('b', 75, 530, leaves('Saved', aRecord('b', 4)));
      Object.assign(ended.metadata, { creationTimestamp: after(509), deletionTimestamp: after(550) });
      const look: Look = [541, { jobs: [admitted], pods: [...evicted, ended] }];
      expect(play(aJob(), [[0, {}], queued, ...takesOver(admitted), look, look]).status.restarts).toBe(1);
    });
  });

  test("does not take the evicted pod's start for that of the trainer after it", () => {
    const { status } = play(aJob({ startDeadlineSeconds: 60 }), [
      [0, {}],
      [50, { jobs, pods: [runningPod('a')] }],
      [1050, { jobs: held, pods: [runningPod('a')] }],
      [1100, { jobs, pods: [saved, pendingPod('b')] }],
      [1160, { jobs, pods: [saved, pendingPod('b')] }],
    ]);
    expect(status.trainerStartTime).toBeUndefined();
    expect(conditionOf(status, 'Failed')?.reason).toBe('StartDeadlineExceeded');
  });

  test('can be suspended and resumed: the next attempt is queued anew', () => {
    const queued = play(aJob(), [
      [0, {}],
      [1, { jobs: held }],
    ]).status;
    const paused = aJob({ suspend: true });
    const stopping = play({ ...paused, status: queued }, [[100, { jobs: held }]]);
    expect(stopping.actions).toEqual([{ kind: 'deleteJob', name: 'quickstart-1', uid: 'child-1' }]);
    const gone = play({ ...paused, status: stopping.status }, [[110, {}]]).status;
    expect(gone).toMatchObject({ state: 'Suspended', activeSeconds: 1 });
    expect(play({ ...aJob(), status: gone }, [[200, {}]]).actions).toEqual([{ kind: 'create', attempt: 2 }]);
  });
});

describe('managedBy', () => {
  test('another controller: nothing is made, written, told or planned', () => {
    const job = aJob({ managedBy: 'kueue.x-k8s.io/multikueue', activeDeadlineSeconds: 5 });
    expect(
      play(job, [
        [0, {}],
        [10, {}],
      ]),
    ).toEqual({ status: {}, actions: [], events: [] });
  });

  test('this operator: as without it', () => {
    const job = aJob({ managedBy: 'training.dpo-operator.io/dpo-operator' });
    expect(play(job, [[0, {}]]).actions).toEqual([{ kind: 'create', attempt: 1 }]);
  });
});
