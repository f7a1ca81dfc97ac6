import { describe, expect, test } from '@jest/globals';
import { statusSchema } from '../../../crds/status.ts';
import type { Observation, ObservedJob, ObservedPod } from '../../../operator/decide/observation.ts';
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

const jobs = [aChild(1)];
/** The node controller took readiness from a pod whose containers were ready as its kubelet last said, at 100 s. */
function unready(name: string): ObservedPod {
  const pod = runningPod(name);
  const conditions = [
    { type: 'ContainersReady', status: 'True', lastTransitionTime: after(1) },
    { type: 'Ready', status: 'False', lastTransitionTime: after(100) },
  ];
  return { ...pod, spec: { nodeName: 'n1' }, status: { ...pod.status, conditions } };
}
/** A pod that was told to go by 100 s at the latest. */
function leaving(name: string): ObservedPod {
  const pod = runningPod(name);
  return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: after(100) }, spec: { nodeName: 'n1' } };
}
const going = (attempt: number): ObservedJob => {
  const child = aChild(attempt);
  child.metadata.deletionTimestamp = after(161);
  return child;
};
const begun: [number, Partial<Observation>] = [0, {}];
const runs: [number, Partial<Observation>] = [10, { jobs, pods: [runningPod('a')] }];

describe('a node that does not answer', () => {
  test.each<[string, ObservedPod, Partial<Observation>, number]>([
    ['when its pod is not ready any more', unready('a'), {}, 100],
    ['when its pod does not go, 30 s after it should have', leaving('a'), {}, 130],
    [
      '30 s after the last answer of a trainer that its kubelet is silent about',
      unready('a'),
      { answer: anAnswer(aRecord('a', 1), 110) },
      140,
    ],
  ])('is lost %s', (_when, pod, rest, lost) => {
    const seen = { jobs, pods: [pod], ...rest };
    const before = play(aJob(), [begun, runs, [lost - 1, seen]]);
    expect([before.status.state, before.requeueAfter]).toEqual(['Running', 1]);
    const { status, events, actions, requeueAfter } = play(aJob(), [begun, runs, [lost, seen]]);
    const message = expect.stringMatching(
      /^the pod's node does not answer since .*: pod a; bring node n1 back, or declare it gone \(kubectl delete node n1\), or set spec\.nodeLossSeconds; until then/,
    );
    expect(statusSchema.parse(status)).toMatchObject({ state: 'NodeLost', reason: 'NodeLost', message });
    expect(conditionOf(status, 'PodsReady')).toMatchObject({ status: 'Unknown', reason: 'NodeLost', message });
    expect(events).toEqual([{ type: 'Warning', reason: 'NodeLost', message }]);
    expect([actions, requeueAfter]).toEqual([[], undefined]);
  });

  test('and comes back leaves no trace', () => {
    const { status } = play(aJob(), [begun, runs, [100, { jobs, pods: [unready('a')] }], [150, runs[1]]]);
    expect(status).toMatchObject({ state: 'Running', restarts: 0 });
    expect([status.reason, status.lostAttempt]).toEqual([undefined, undefined]);
  });

  test.each<[string, ObservedPod]>([
    [
      'not ready, nor are its containers, as when its kubelet restarts',
      {
        ...unready('a'),
        status: {
          ...runningPod('a').status,
          conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: after(100) }],
        },
      },
    ],
    ['told to go, and was never on a node', { ...leaving('a'), spec: {} }],
  ])('is not meant where a pod is %s', (_what, pod) => {
    expect(play(aJob(), [begun, runs, [500, { jobs, pods: [pod] }]]).status.state).toBe('Running');
  });
});

describe('nodeLossSeconds', () => {
  const job = aJob({ nodeLossSeconds: 60 });
  const lost = { jobs, pods: [unready('a')] };

  test('says when it will move on', () => {
    const { status, requeueAfter } = play(job, [begun, runs, [100, lost]]);
    expect(status.message).toContain('or declare it gone (kubectl delete node n1); after nodeLossSeconds (60)');
    expect(requeueAfter).toBe(60);
    expect(play(job, [begun, runs, [159, lost]]).actions).toEqual([]);
  });

  test('begins the next attempt without waiting, with its clocks and counters kept', () => {
    const { status, actions, events, restsOnChildren } = play(job, [begun, runs, [160, lost]]);
    expect(restsOnChildren).toBe(true);
    expect(actions).toEqual([
      { kind: 'deleteJob', name: 'quickstart-1', uid: 'child-1' },
      { kind: 'create', attempt: 2 },
    ]);
    expect(statusSchema.parse(status)).toMatchObject({
      attempt: 2,
      lostAttempt: 1,
      attemptStartTime: after(160),
      activeSeconds: 160,
      trainerSeconds: 160,
      restarts: 1,
      lastFailure: { reason: 'NodeLost', pod: 'a', time: after(160) },
    });
    expect(events.map(({ type, reason }) => `${type} ${reason}`)).toEqual(['Warning NodeLost', 'Warning NodeGivenUp']);
  });

  test('does so no more once the pod is found gone: its Job makes the next', () => {
    const gone = { ...lost, departed: new Set(lost.pods.map(({ metadata }) => metadata.uid)) };
    const { status, actions } = play(job, [begun, runs, [160, gone]]);
    expect([actions, status.attempt, status.reason]).toEqual([[], 1, undefined]);
  });

  test('counts an end that was not seen before, too', () => {
    const pods = [endedPod('before', 1, 5), unready('a')];
    const { status } = play(job, [begun, [160, { jobs, pods }]]);
    expect(status).toMatchObject({ attempt: 2, restarts: 2, lastFailure: { reason: 'NodeLost', pod: 'a' } });
  });

  const moved = play(job, [begun, runs, [160, lost]]).status;
  test.each<[string, Partial<Observation>, string[]]>([
    ['its Job was not deleted and the next not made', { jobs }, ['deleteJob quickstart-1', 'create 2']],
    ['its Job is going and the next was not made', { jobs: [going(1)] }, ['create 2']],
    ['the next runs beside its Job', { jobs: [going(1), aChild(2)], pods: [runningPod('b')] }, []],
    ['the next was deleted by hand', { jobs: [going(1)], pods: [] }, ['create 2']],
  ])('goes on after a crash where %s', (_what, seen, expected) => {
    const { actions, status } = play({ ...job, status: moved }, [[162, seen]]);
    expect(
      actions.map(
        (one) => `${one.kind} ${one.kind === 'deleteJob' ? one.name : one.kind === 'create' ? one.attempt : ''}`,
      ),
    ).toEqual(expected);
    expect(status).toMatchObject({ attempt: 2, lostAttempt: 1, restarts: 1 });
  });

  test('a suspend afterwards waits for the Job of the present attempt only', () => {
    const paused = aJob({ nodeLossSeconds: 60, suspend: true });
    const { status } = play({ ...paused, status: moved }, [[200, { jobs: [going(1)] }]]);
    expect(conditionOf(status, 'Suspended')?.status).toBe('True');
    expect(play({ ...job, status }, [[300, { jobs: [going(1)] }]]).actions).toEqual([{ kind: 'create', attempt: 3 }]);
  });

  test('leaves a trainer alone that still answers', () => {
    const answering = { ...lost, answer: anAnswer(aRecord('a', 1), 155) };
    expect(play(job, [begun, runs, [160, answering]])).toMatchObject({ actions: [], status: { state: 'Running' } });
    expect(play(job, [begun, runs, [245, answering]]).actions).toHaveLength(2);
  });
});

test('the ends of the next attempt are told and counted, however far ahead the clock was that said the node was lost', () => {
  const { status } = play(aJob(), [[0, {}]]);
  const lost = { reason: 'NodeLost', pod: 'a', message: 'node n', time: after(7200) };
  const job = { ...aJob(), status: { ...status, attempt: 2, lostAttempt: 1, restarts: 1, lastFailure: lost } };
  const pods = [endedPod('b', 65, 100, leaves('InvalidData', undefined, 'line 7'))];
  const decision = play(job, [[101, { jobs: [endedChild(2, 'Failed', 'PodFailurePolicy')], pods }]]);
  expect(decision.status).toMatchObject({ state: 'Failed', reason: 'InvalidData', message: 'line 7', restarts: 2 });
});
