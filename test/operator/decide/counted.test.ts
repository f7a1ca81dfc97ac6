import { describe, expect, test } from '@jest/globals';
import { maxTied, statusSchema, type DPOJobStatus } from '../../../crds/status.ts';
import type { Observation, ObservedPod } from '../../../operator/decide/observation.ts';
import { keepPod } from '../../../operator/keep.ts';
import { aChild, after, aJob, begun, conditionOf, endedChild, endedPod, leaves, play } from '../observed.ts';

const jobs = [aChild(1)];
/** A pod that was made `made` seconds after the start and ended at `ended` by its node's clock, as the store keeps it. */
function pod(name: string, code: number, { made, ended = made + 5 }: { made: number; ended?: number }): ObservedPod {
  const given = endedPod(name, code, ended, leaves(code === 65 ? 'InvalidData' : 'InternalError', undefined, name));
  given.metadata.creationTimestamp = after(made);
  return keepPod(given as never);
}
const look = (seconds: number, pods: ObservedPod[], child = jobs): [number, Partial<Observation>] => [
  seconds,
  { jobs: child, pods },
];

describe('the end of a pod on a node whose clock is behind that of the node before', () => {
  const first = pod('a', 1, { made: 1, ended: 60 });
  const second = pod('b', 65, { made: 10, ended: 30 });
  const failed = [endedChild(1, 'Failed', 'PodFailurePolicy')];

  test.each<[string, [number, Partial<Observation>][]]>([
    ['one after the other', [look(9, [first]), look(31, [first, second], failed)]],
    ['at once', [look(31, [second, first], failed)]],
  ])('is counted, told, and names the failure: seen %s', (_when, looks) => {
    const { status, events } = play(aJob(), [[0, {}], ...looks]);
    expect(statusSchema.parse(status)).toMatchObject({ restarts: 2, lastFailure: { pod: 'b', exitCode: 65 } });
    expect(conditionOf(status, 'Failed')).toMatchObject({ status: 'True', reason: 'InvalidData', message: 'b' });
    expect(events.map(({ reason }) => reason)).toContain('InvalidData');
  });
});

describe('ends of pods that were made in one second', () => {
  const made = (count: number): ObservedPod[] =>
    Array.from({ length: count }, (_, i) => pod(`p${i}`, 1, { made: 5, ended: 6 }));

  test('are counted once each, seen one by one or again', () => {
    const [one, two, three] = [1, 2, 3].map((count) => look(5 + count, made(count)));
    const { status } = play(aJob({ backoffLimit: 9 }), [[0, {}], one, two, two, three, three] as never);
    expect(status).toMatchObject({ restarts: 3, countedUntil: { podUIDs: ['p0-uid', 'p1-uid', 'p2-uid'] } });
  });

  test('more than are remembered end all the same, and none is counted twice', () => {
    const many = look(7, made(3 * maxTied));
    const { status } = play(aJob(), [[0, {}], many, many, many]);
    expect(statusSchema.parse(status).restarts).toBe(3 * maxTied);
    const { restarts } = play({ ...aJob(), status }, [look(99, [pod('q', 1, { made: 6 })])]).status;
    expect(restarts).toBe(3 * maxTied + 1);
  });
});

test('what an operator counted that went by the time of the failure is not counted again', () => {
  const lastFailure = { reason: 'InternalError', exitCode: 1, pod: 'b', time: after(20) };
  const before: DPOJobStatus = { ...begun(), restarts: 2, lastFailure };
  const counted = [pod('a', 1, { made: 1, ended: 10 }), pod('b', 1, { made: 11, ended: 20 })];
  const job = { ...aJob(), status: before };
  expect(play(job, [look(25, counted)]).status).toMatchObject({ restarts: 2, lastFailure });
  const next = look(31, [...counted, pod('c', 1, { made: 21, ended: 30 })]);
  expect(play(job, [next, next]).status).toMatchObject({ restarts: 3, countedUntil: { podUIDs: ['c-uid'] } });
});

test('what an older operator counted in between is not counted again by the one after it', () => {
  const lastFailure = { reason: 'InternalError', exitCode: 1, pod: 'c', time: after(30) };
  const countedUntil = { podCreationTime: after(1), podUIDs: ['a-uid'] };
  const job = { ...aJob({ backoffLimit: 9 }), status: { ...begun(), restarts: 3, lastFailure, countedUntil } };
  const counted = [pod('a', 1, { made: 1 }), pod('b', 1, { made: 11 }), pod('c', 1, { made: 21 })];
  expect(play(job, [look(35, counted)]).status).toMatchObject({ restarts: 3, lastFailure });
  const next = look(41, [...counted, pod('d', 1, { made: 31 })]);
  expect(play(job, [next, next]).status).toMatchObject({ restarts: 4, countedUntil: { podUIDs: ['d-uid'] } });
});
