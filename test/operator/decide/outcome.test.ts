import { describe, expect, test } from '@jest/globals';
import type { ObservedJob } from '../../../operator/decide/observation.ts';
import { keepJob } from '../../../operator/keep.ts';
import {
  aChild,
  after,
  aJob,
  anAnswer,
  aRecord,
  conditionOf,
  endedChild,
  endedPod,
  leaves,
  play,
  runningPod,
} from '../observed.ts';

/** The first attempt's Job as it ended `seconds` after the start, as the store keeps it. */
function over(type: 'Complete' | 'Failed', seconds: number, reason: string = type): ObservedJob {
  const child = endedChild(1, type, reason);
  for (const one of child.status?.conditions ?? []) one.lastTransitionTime = after(seconds);
  return keepJob(child as never);
}
const last = aRecord('a', 99, { stage: 'Done', metrics: { loss: 0.25 }, output: { source: 'pvc://m/o', digest: 'd' } });
const succeeded = endedPod('a', 0, 100, leaves('Complete', last));
const invalid = endedPod('a', 65, 100, leaves('InvalidData', undefined, 'line 7: no chosen answer'));
const running = { jobs: [aChild(1)], pods: [runningPod('a')], answer: anAnswer(aRecord('a', 50)) };

describe("a Job whose end is seen before its pod's", () => {
  test('is not Complete yet, and is looked at in a second', () => {
    const early = play(aJob(), [
      [0, {}],
      [50, running],
      [101, { ...running, jobs: [over('Complete', 100)] }],
    ]);
    expect([early.status.state, early.requeueAfter, early.events]).toEqual(['Running', 1, []]);
  });

  test("is Complete with the last record when the pod's end is there", () => {
    const { status } = play(aJob(), [
      [0, {}],
      [50, running],
      [101, { ...running, jobs: [over('Complete', 100)] }],
      [102, { ...running, jobs: [over('Complete', 100)], pods: [succeeded] }],
    ]);
    expect(status).toMatchObject({ state: 'Complete', metrics: { loss: 0.25 }, output: { digest: 'd' } });
  });

  test('fails by the name of the exit code, not as a Job that failed', () => {
    const failed = [over('Failed', 100, 'PodFailurePolicy')];
    const { status } = play(aJob(), [
      [0, {}],
      [101, { jobs: failed, pods: [runningPod('a')] }],
      [102, { jobs: failed, pods: [invalid] }],
    ]);
    expect(conditionOf(status, 'Failed')).toMatchObject({
      status: 'True',
      reason: 'InvalidData',
      message: 'line 7: no chosen answer',
    });
  });

  test("is waited with for ten seconds only; a pod's end that comes later is still taken in", () => {
    const failed = [over('Failed', 100, 'PodFailurePolicy')];
    const [job, looks] = [aJob(), [[0, {}] as [number, object], [110, { jobs: failed, pods: [runningPod('a')] }]]];
    const given = play(job, looks as never).status;
    expect(conditionOf(given, 'Failed')?.reason).toBe('JobFailed');
    const { status } = play({ ...job, status: given }, [[120, { jobs: failed, pods: [invalid] }]]);
    expect(status).toMatchObject({ state: 'Failed', completionTime: after(110), lastFailure: { exitCode: 65 } });
    expect(conditionOf(status, 'Failed')?.reason).toBe('InvalidData');
    const done = play(job, [
      [0, {}],
      [110, { jobs: [over('Complete', 100)], pods: [runningPod('a')] }],
      [120, { jobs: [over('Complete', 100)], pods: [succeeded] }],
    ]).status;
    expect(done).toMatchObject({ state: 'Complete', metrics: { loss: 0.25 }, completionTime: after(110) });
  });
});

test('what only the last words carry is told as Events, also when they are seen after the end', () => {
  const warnings = [{ reason: 'RunawayMargins', message: 'margins of 40' }];
  const words = aRecord('a', 99, { stage: 'Done', warnings, stoppedEarly: { step: 80, message: 'evalLoss rose' } });
  const { events, status } = play(aJob(), [
    [0, {}],
    [110, { jobs: [over('Complete', 100)], pods: [runningPod('a')] }],
    [120, { jobs: [over('Complete', 100)], pods: [endedPod('a', 0, 100, leaves('Complete', words))] }],
  ]);
  expect(events.map(({ reason }) => reason)).toEqual(['RunawayMargins', 'StoppedEarly']);
  expect(status.stoppedEarly?.step).toBe(80);
});

test("a permanent end that was never seen is not given an earlier pod's name", () => {
  const { status } = play(aJob(), [
    [0, {}],
    [50, { jobs: [aChild(1)], pods: [endedPod('a', 1, 40)] }],
    [111, { jobs: [over('Failed', 100, 'PodFailurePolicy')], pods: [] }],
  ]);
  expect(conditionOf(status, 'Failed')).toMatchObject({ reason: 'JobFailed', message: 'job PodFailurePolicy' });
});

test('a finished job states the generation that it has seen, and keeps the time of its end', () => {
  const job = aJob();
  const { status } = play(job, [
    [0, {}],
    [102, { jobs: [over('Complete', 100)], pods: [succeeded] }],
  ]);
  const changed = { ...job, metadata: { ...job.metadata, generation: 2 }, status };
  const seen = play(changed, [[200, { jobs: [over('Complete', 100)], pods: [succeeded] }]]).status;
  expect(seen).toMatchObject({ observedGeneration: 2, completionTime: after(102), restarts: 0 });
  expect(seen.conditions?.map(({ observedGeneration }) => observedGeneration)).toEqual(Array(6).fill(2));
  expect(conditionOf(seen, 'Complete')).toMatchObject({ status: 'True', lastTransitionTime: after(102) });
});
