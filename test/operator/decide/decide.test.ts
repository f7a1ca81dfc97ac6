import { describe, expect, test } from '@jest/globals';
import { conditionTypes } from '../../../crds/conditions.ts';
import { statusSchema } from '../../../crds/status.ts';
import type { DPOJobSpecInput } from '../../../crds/dpojob.ts';
import { labelsTaken, notMade, refused, type Refusal } from '../../../operator/decide/accepted.ts';
import { decide } from '../../../operator/decide/decide.ts';
import type { Observation, ObservedJob, ObservedPod } from '../../../operator/decide/observation.ts';
import {
  aChild,
  after,
  aJob,
  begun,
  condition,
  endedChild,
  endedPod,
  observed,
  roughRecord,
  pendingPod,
  runningPod,
  start,
} from '../observed.ts';

describe('a new job', () => {
  const { status, actions } = decide(observed(aJob()), start);

  test('gets its first attempt, written to status with the Job to make', () => {
    expect(actions).toEqual([{ kind: 'create', attempt: 1 }]);
    expect(status).toMatchObject({ attempt: 1, attemptStartTime: start, startTime: start, image: 'trainer:test' });
  });

  test('has every condition, of this generation, and a status that the CRD admits', () => {
    expect(status.conditions?.map(({ type }) => type)).toEqual([...conditionTypes]);
    expect(status.conditions?.every(({ observedGeneration }) => observedGeneration === 1)).toBe(true);
    expect(statusSchema.parse(status)).toEqual(status);
  });

  test('is asked for again under the same number when the Job was not made', () => {
    expect(decide(observed(aJob({}, status)), after(5)).actions).toEqual([{ kind: 'create', attempt: 1 }]);
  });
});

test('a job whose checkpoints go with their pod is accepted with NoResume, and says so when it is suspended', () => {
  const changes = { output: { source: 'hf://org/mine' }, checkpoint: { volume: { type: 'Ephemeral' as const } } };
  const { status } = decide(observed(aJob(changes)), start);
  expect(status.conditions?.find(({ type }) => type === 'Accepted')).toMatchObject({
    status: 'True',
    reason: 'NoResume',
    message: 'checkpoints go with their pod: a restart begins anew',
  });
  expect(status.reason).toBeUndefined();
  const paused = decide(observed(aJob({ ...changes, suspend: true }, status)), after(9)).status;
  expect(paused.conditions?.find(({ type }) => type === 'Suspended')?.message).toMatch(/nothing is kept/);
});

test('the number of an attempt never falls below what exists, whatever status says', () => {
  const { attempt: _lost, ...status } = begun();
  expect(decide(observed(aJob({}, status), { jobs: [aChild(3)] }), after(5)).status.attempt).toBe(3);
  const gone = { ...status, attempt: 1 };
  const leaving = aChild(3);
  leaving.metadata.deletionTimestamp = after(4);
  expect(decide(observed(aJob({}, gone), { jobs: [leaving] }), after(5)).status.attempt).toBe(3);
});

describe('the state in one word', () => {
  const unschedulable: ObservedPod = {
    metadata: { name: 'p', uid: 'u', creationTimestamp: start },
    status: {
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no GPU' }],
    },
  };
  const pulling: ObservedPod = {
    metadata: { name: 'p', uid: 'u', creationTimestamp: start },
    status: {
      phase: 'Pending',
      containerStatuses: [{ name: 'trainer', state: { waiting: { reason: 'ImagePullBackOff', message: 'no image' } } }],
    },
  };
  const cases: [string, ObservedJob[], ObservedPod[], string][] = [
    ['Pending', [aChild(1)], [], 'NoPod'],
    ['Queued', [aChild(1, { spec: { suspend: true } })], [], 'Queued'],
    ['Pending', [aChild(1)], [unschedulable], 'Unschedulable'],
    ['Starting', [aChild(1)], [pulling], 'ImagePullFailed'],
    ['Running', [aChild(1)], [runningPod('a')], 'Running'],
    ['Restarting', [aChild(1)], [endedPod('a', 75, 5)], 'NoPod'],
    ['Running', [aChild(1)], [endedPod('a', 0, 5)], 'Succeeded'],
    ['Complete', [endedChild(1, 'Complete')], [endedPod('a', 0, 5)], 'Complete'],
    ['Failed', [endedChild(1, 'Failed')], [endedPod('a', 1, 5)], 'Failed'],
  ];
  test.each(cases)('%s', (state, jobs, pods, reason) => {
    const { status } = decide(observed(aJob({}, begun()), { jobs, pods }), after(10));
    expect(status.state).toBe(state);
    expect(status.conditions?.find(({ type }) => type === 'PodsReady')?.reason).toBe(reason);
  });
});

describe('suspend', () => {
  const job = aJob({ suspend: true }, begun());
  const stopping = decide(observed(job, { jobs: [aChild(1)], pods: [runningPod('a')] }), after(30));

  test('deletes the Job and banks the seconds active', () => {
    expect(stopping.actions).toEqual([{ kind: 'deleteJob', name: 'quickstart-1', uid: 'child-1' }]);
    expect(stopping.status.activeSeconds).toBe(30);
    expect(stopping.status.attemptStartTime).toBeUndefined();
    expect(condition(stopping.status, 'Suspended')).toBe('False');
  });

  test('is True once the Job is gone, and counts no seconds twice', () => {
    const { status, actions } = decide(observed({ ...job, status: stopping.status }), after(60));
    expect(actions).toEqual([]);
    expect(condition(status, 'Suspended')).toBe('True');
    expect(status.activeSeconds).toBe(30);
  });

  test('resumes with the next attempt, but only once the Job before is gone', () => {
    const resumed = aJob({}, stopping.status);
    const leaving = aChild(1);
    leaving.metadata.deletionTimestamp = after(30);
    expect(decide(observed(resumed, { jobs: [leaving] }), after(60)).actions).toEqual([]);
    const next = decide(observed(resumed), after(90));
    expect(next.actions).toEqual([{ kind: 'create', attempt: 2 }]);
    expect(next.status.attemptStartTime).toBe(after(90));
  });
});

describe('a Job that kubectl deleted, in the background: its pod still saves', () => {
  const leaving = runningPod('a');
  leaving.metadata.deletionTimestamp = after(60);

  test('is made again, as the same attempt, once that pod has ended', () => {
    const job = aJob({}, begun());
    const waits = decide(observed(job, { pods: [leaving] }), after(30));
    expect([waits.actions, waits.status.attempt]).toEqual([[{ kind: 'find', attempt: 1 }], 1]);
    const ended = decide(observed({ ...job, status: waits.status }, { pods: [endedPod('a', 75, 40)] }), after(41));
    expect(ended.actions).toEqual([{ kind: 'create', attempt: 1 }]);
  });

  test('is made again once that pod is gone, whatever its end was', () => {
    const seen = observed(aJob({}, begun()), { pods: [leaving], departed: new Set([leaving.metadata.uid]) });
    expect(decide(seen, after(30)).actions).toEqual([{ kind: 'create', attempt: 1 }]);
  });

  test('is not said to be suspended before, and a resume begins no further attempt beside it', () => {
    const job = aJob({ suspend: true }, begun());
    const { status } = decide(observed(job, { pods: [leaving] }), after(30));
    expect([status.state, condition(status, 'Suspended')]).toEqual(['Suspending', 'False']);
    const resumed = decide(observed(aJob({}, status), { pods: [leaving] }), after(40));
    expect([resumed.actions, resumed.status.attempt]).toEqual([[{ kind: 'find', attempt: 1 }], 1]);
    const gone = decide(observed(aJob({}, resumed.status)), after(50));
    expect(gone.actions).toEqual([{ kind: 'create', attempt: 2 }]);
  });
});

const refusedFor = (why: Refusal): Observation => observed(aJob({}, refused(aJob({}, begun()), why, after(1))));
test.each<[string, Observation, boolean]>([
  ['a pod of it ended', observed(aJob({}, begun()), { pods: [endedPod('a', 75, 40)] }), true],
  ['its trainer had begun', observed(aJob({}, { ...begun(), trainerStartTime: after(5) })), true],
  ['it follows one that nobody saw gone', observed(aJob({}, { ...begun(), attemptStartTime: undefined })), true],
  ['it was to be made, and may have been', observed(aJob({}, begun())), true],
  ['its name was taken, or its labels', refusedFor(labelsTaken('Job quickstart-1')), true],
  ['it was refused', refusedFor(notMade('Job', 'quickstart-1', 'no')), false],
  ['it is the first', observed(aJob()), false],
])('a Job is made on children that are confirmed where %s: %#', (_why, seen, isConfirmed) => {
  const { actions, restsOnChildren } = decide(seen, after(60));
  expect([actions[0]?.kind, restsOnChildren]).toEqual(['create', isConfirmed]);
});

test('a suspend that a silent node holds up says so', () => {
  const pod = runningPod('a');
  pod.metadata.deletionTimestamp = after(30);
  pod.spec = { nodeName: 'n1' };
  const child = aChild(1);
  child.metadata.deletionTimestamp = after(0);
  const job = aJob({ suspend: true, nodeLossSeconds: 60 }, begun());
  const seen = { jobs: [child], pods: [pod] };
  expect(decide(observed(job, seen), after(50)).requeueAfter).toBe(10);
  const { status } = decide(observed(job, seen), after(61));
  expect(status.message).toMatch(/until then the pod may still run$/);
  expect(status).toMatchObject({ state: 'NodeLost', reason: 'NodeLost', message: expect.stringContaining('node n1') });
});

test.each(['activeDeadlineSeconds', 'startDeadlineSeconds'])(
  '%s does not fail a job whose trainer ended well: the Job says so later',
  (field) => {
    const seen = { jobs: [aChild(1)], pods: [endedPod('a', 0, 9)] };
    const decision = decide(observed(aJob({ [field]: 10 }, begun()), seen), after(11));
    expect(decision.status.state).toBe('Running');
    expect([decision.actions, decision.requeueAfter]).toEqual([[], undefined]);
  },
);

test('a deadline runs on where the Job of a trainer that ended well was deleted, and another is made', () => {
  const seen = { jobs: [aChild(1)], pods: [endedPod('a', 0, 9), pendingPod('b')] };
  const { status } = decide(observed(aJob({ activeDeadlineSeconds: 10 }, begun()), seen), after(11));
  expect(condition(status, 'Failed')).toBe('True');
});

describe('deadlines', () => {
  const answer = (seconds: number): NonNullable<Observation['answer']> => ({
    progress: { stage: 'Training' } as never,
    heartbeatSince: after(0),
    answeredAt: after(seconds),
  });
  test.each([
    ['DeadlineExceeded', { activeDeadlineSeconds: 60 }, {}],
    ['StartDeadlineExceeded', { startDeadlineSeconds: 60 }, {}],
  ])('%s at the second it passes, and a look is planned for it', (reason, changes, rest) => {
    const job = aJob(changes, begun(aJob(changes)));
    const before = decide(observed(job, { jobs: [aChild(1)], ...rest }), after(59));
    expect(before.requeueAfter).toBe(1);
    expect(condition(before.status, 'Failed')).toBe('False');
    const passed = decide(observed(job, { jobs: [aChild(1)], ...rest }), after(60));
    expect(passed.status.conditions?.find(({ type }) => type === 'Failed')).toMatchObject({ status: 'True', reason });
    expect(passed.actions).toEqual([{ kind: 'deleteJob', name: 'quickstart-1', uid: 'child-1' }]);
  });

  test('a trainer that ran meets startDeadlineSeconds', () => {
    const job = aJob({ startDeadlineSeconds: 60 }, begun());
    const { status } = decide(observed(job, { jobs: [aChild(1)], pods: [runningPod('a')] }), after(3600));
    expect(condition(status, 'Failed')).toBe('False');
  });

  test.each([
    [59, 'False'],
    [60, 'True'],
  ])('the progress clock runs between answers only: %d s apart, Failed is %s', (seconds, failed) => {
    const job = aJob({ progressDeadlineSeconds: 60 }, begun());
    const said = { ...answer(seconds), progress: { ...roughRecord(seconds), stage: 'Training' as const } };
    const { status } = decide(observed(job, { jobs: [aChild(1)], pods: [runningPod('a')], answer: said }), after(9999));
    expect(condition(status, 'Failed')).toBe(failed);
  });
});

describe('a pod that ended', () => {
  test('is counted once, with its exit code, name and words', () => {
    const said = JSON.stringify({ reason: 'InternalError', message: 'block 3 failed' });
    const observation = { jobs: [aChild(1)], pods: [endedPod('a', 1, 10, said)] };
    const first = decide(observed(aJob({}, begun()), observation), after(11)).status;
    const second = decide(observed(aJob({}, first), observation), after(12)).status;
    expect(second).toMatchObject({ restarts: 1 });
    expect(second.lastFailure).toMatchObject({
      reason: 'InternalError',
      exitCode: 1,
      pod: 'a',
      message: 'block 3 failed',
    });
  });

  test('a permanent code names the failure', () => {
    const jobs = [endedChild(1, 'Failed', 'PodFailurePolicy')];
    const { status } = decide(observed(aJob({}, begun()), { jobs, pods: [endedPod('a', 65, 10)] }), after(11));
    expect(status.conditions?.find(({ type }) => type === 'Failed')?.reason).toBe('InvalidData');
  });

  test('three free restarts without a newer checkpoint fail the job, disruptions do not', () => {
    const record = JSON.stringify({ reason: 'Saved', message: '', progress: { ...roughRecord(1), metrics: {} } });
    const pods = [10, 20, 30].map((seconds) => endedPod(`p${seconds}`, 75, seconds, record));
    const failed = decide(observed(aJob({}, begun()), { jobs: [aChild(1)], pods }), after(31)).status;
    expect(failed.conditions?.find(({ type }) => type === 'Failed')?.reason).toBe('RestartsWithoutProgress');
    for (const pod of pods) {
      pod.status = { ...pod.status, conditions: [{ type: 'DisruptionTarget', status: 'True' }] };
    }
    const free = decide(observed(aJob({}, begun()), { jobs: [aChild(1)], pods }), after(31)).status;
    expect(condition(free, 'Failed')).toBe('False');
  });
});

test('a finished job is deleted when its TTL has passed, and looked at then', () => {
  const done = decide(observed(aJob({}, begun()), { jobs: [endedChild(1, 'Complete')] }), after(10)).status;
  const job = aJob({ ttlSecondsAfterFinished: 60 }, done);
  expect(decide(observed(job), after(30)).requeueAfter).toBe(40);
  expect(decide(observed(job), after(70)).actions).toEqual([{ kind: 'deleteDPOJob', uid: 'job-uid' }]);
});

describe('a change to a job that runs', () => {
  const told = (changes: Partial<DPOJobSpecInput>, child = aChild(1)): string[] => {
    const job = aJob(changes, begun());
    job.metadata.generation = 2;
    const { events } = decide(observed(job, { jobs: [child], attemptSpec: aJob().spec }), after(10));
    return events.map(({ reason, message }) => `${reason} ${message.split(':')[0]}`);
  };
  test.each<[string, Partial<DPOJobSpecInput>]>([
    ['evaluation.everySteps', { evaluation: { everySteps: 7 } }],
    ['checkpoint.everySteps, checkpoint.keep', { checkpoint: { everySteps: 7, keep: 9 } }],
    ['backoffLimit', { backoffLimit: 9 }],
    ['resources', { resources: { limits: { memory: '1Gi' } } }],
    ['pod', { pod: { nodeSelector: { zone: 'a' } } }],
  ])('of %s is said to wait for the next attempt', (fields, changes) => {
    expect(told(changes)).toEqual([`AppliesToNextAttempt ${fields}`]);
  });

  test('is not said to wait where it does not, or where the next attempt is near', () => {
    const leaving = aChild(1);
    leaving.metadata.deletionTimestamp = after(5);
    expect([told({ ttlSecondsAfterFinished: 5 }), told({ backoffLimit: 9 }, leaving)]).toEqual([[], []]);
  });
});
