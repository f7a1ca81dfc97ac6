import { describe, expect, test } from '@jest/globals';
import type { Progress } from '../../../crds/progress.ts';
import type { ObservedPod } from '../../../operator/decide/observation.ts';
import { aChild, aJob, aRecord, conditionOf, endedPod, leaves, play, runningPod, after } from '../observed.ts';

const jobs = [aChild(1)];
/** A pod that saved and stopped in a stage, as a deletion makes it. */
const stopped = (name: string, seconds: number, rest: Partial<Progress> = {}): ObservedPod =>
  endedPod(name, 75, seconds, leaves('Saved', aRecord(name, seconds, rest)));

describe('three free restarts in a row without a newer checkpoint', () => {
  test.each<[Progress['stage'], string]>([
    ['Loading', 'NotFailed'],
    ['Data', 'NotFailed'],
    ['SFT', 'NotFailed'],
    ['Reference', 'NotFailed'],
    ['Training', 'RestartsWithoutProgress'],
    ['Evaluating', 'RestartsWithoutProgress'],
    ['Exporting', 'RestartsWithoutProgress'],
  ])('in stage %s: %s', (stage, reason) => {
    const pods = [10, 20, 30].map((seconds) => stopped(`p${seconds}`, seconds, { stage }));
    const { status } = play(aJob(), [
      [0, {}],
      [31, { jobs, pods }],
    ]);
    expect(status.restarts).toBe(3);
    expect(conditionOf(status, 'Failed')?.reason).toBe(reason);
  });

  test('are none when each pod saved a newer one', () => {
    const pods = [10, 20, 30].map((seconds) =>
      stopped(`p${seconds}`, seconds, { checkpoint: { step: seconds, time: after(seconds - 1) } }),
    );
    const { status } = play(aJob(), [
      [0, {}],
      [31, { jobs, pods }],
    ]);
    expect(status).toMatchObject({ restarts: 3, restartsWithoutProgress: 0, checkpoint: { step: 30 } });
    expect(conditionOf(status, 'Failed')?.status).toBe('False');
  });
});

test('the end of a pod counts after a lost node, which the operator noted by a clock that was ahead', () => {
  const begun = play(aJob(), [[0, {}]]).status;
  const lastFailure = { reason: 'NodeLost', message: 'the node is gone', time: after(100) };
  const { status } = play(aJob({}, { ...begun, lastFailure }), [[21, { jobs, pods: [stopped('a', 20)] }]]);
  expect(status).toMatchObject({ restarts: 1, lastFailure: { pod: 'a' } });
});

describe('a pod that the operator stopped', () => {
  const suspended = aJob({ suspend: true });

  test('by a suspend is no restart and no failure; what it saved is kept', () => {
    const saved = stopped('a', 20, { checkpoint: { step: 20, time: after(19) } });
    const begun = play(aJob(), [
      [0, {}],
      [10, { jobs, pods: [runningPod('a')] }],
    ]).status;
    const stop = play({ ...suspended, status: begun }, [
      [12, { jobs, pods: [runningPod('a')] }],
      [21, { jobs, pods: [saved] }],
      [22, {}],
    ]).status;
    expect(stop).toMatchObject({ state: 'Suspended', restarts: 0, checkpoint: { step: 20 }, progress: { step: 20 } });
    expect(stop.lastFailure).toBeUndefined();
    const resumed = play({ ...aJob(), status: stop }, [[30, { pods: [saved] }]]).status;
    expect(resumed).toMatchObject({ attempt: 2, restarts: 0 });
  });

  test('and that crashed instead is told', () => {
    const begun = play(aJob(), [[0, {}]]).status;
    const { status } = play({ ...suspended, status: begun }, [
      [12, { jobs, pods: [runningPod('a')] }],
      [21, { jobs, pods: [endedPod('a', 137, 20)] }],
    ]);
    expect(status).toMatchObject({ restarts: 1, lastFailure: { exitCode: 137 } });
  });

  test('because a deadline passed leaves its last checkpoint in the status of the failed job', () => {
    const { status } = play(aJob({ activeDeadlineSeconds: 60 }), [
      [0, {}],
      [60, { jobs, pods: [runningPod('a')] }],
      [63, { jobs, pods: [stopped('a', 62, { checkpoint: { step: 62, time: after(61) } })] }],
    ]);
    expect(status).toMatchObject({ state: 'Failed', restarts: 0, checkpoint: { step: 62 } });
    expect(conditionOf(status, 'Failed')?.reason).toBe('DeadlineExceeded');
  });

  test.each([-3600, 0, 3600])('is no restart with its clock %d s ahead of the nodes, though killed', (ahead) => {
    const pods = [10, 20, 30].map((seconds) => stopped(`p${seconds}`, seconds));
    const { status } = play(aJob(), [
      [ahead, {}],
      [31 + ahead, { jobs, pods: [...pods, runningPod('a')] }],
      [40 + ahead, { jobs, pods: [...pods, endedPod('a', 137, 38)] }],
    ]);
    expect(conditionOf(status, 'Failed')?.reason).toBe('RestartsWithoutProgress');
    expect(status).toMatchObject({ restarts: 3, lastFailure: { exitCode: 75, pod: 'p30' } });
  });
});
