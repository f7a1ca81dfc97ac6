import { describe, expect, test } from '@jest/globals';
import { array, assert, constantFrom, property } from 'fast-check';
import { conditionTypes } from '../../../crds/conditions.ts';
import { statusSchema } from '../../../crds/dpojob.ts';
import type { DPOJob, DPOJobSpecInput, DPOJobStatus } from '../../../crds/dpojob.ts';
import { decide } from '../../../operator/decide/decide.ts';
import type { Observation, ObservedJob, ObservedPod } from '../../../operator/decide/observation.ts';
import { aChild, after, aJob, aRecord, endedChild, endedPod, observed, runningPod, start } from '../observed.ts';

/** The status of a job whose first attempt began at `start`. */
const begun = (job: DPOJob = aJob()): DPOJobStatus => decide(observed(job), start).status;
const condition = (status: DPOJobStatus, type: string): string | undefined =>
  status.conditions?.find((one) => one.type === type)?.status;

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

describe('the state in one word', () => {
  const unschedulable: ObservedPod = {
    metadata: { name: 'p', uid: 'u' },
    status: {
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no GPU' }],
    },
  };
  const pulling: ObservedPod = {
    metadata: { name: 'p', uid: 'u' },
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

/** A trainer's record with figures that status does not keep as they are. */
const roughRecord = (step: number): ReturnType<typeof aRecord> =>
  aRecord('a', step, { epoch: 0.123456789, metrics: { loss: 0.693147181, beta: 0.1, rewardMargin: Number.NaN } });

test('figures are kept to 6 significant digits, and none that is not finite', () => {
  const answer = { progress: roughRecord(7), heartbeatSince: start, answeredAt: after(7) };
  const { status } = decide(
    observed(aJob({}, begun()), { jobs: [aChild(1)], pods: [runningPod('a')], answer }),
    after(8),
  );
  expect(status.metrics).toEqual({ loss: 0.693147, beta: 0.1 });
  expect(status.progress).toMatchObject({ step: 7, epoch: 0.123457 });
  expect(condition(status, 'Training')).toBe('True');
});

test('the best step, an early stop and the comparison stand in status, and the stop is an Event once', () => {
  const best = { step: 4, metric: 'evalLoss' as const, value: 0.512345678, exported: true };
  const stoppedEarly = { step: 8, message: 'evalLoss did not improve' };
  const lengths = { tokens: 20.1234567, referenceTokens: 9 };
  const comparison = {
    prompts: 8,
    differing: 3,
    preferred: 2,
    ...lengths,
    repetition: 0,
    referenceRepetition: 0,
    kl: 0.1,
  };
  const report = 'pvc://models/out/report.html';
  const answer = {
    progress: { ...roughRecord(8), best, stoppedEarly, comparison, report },
    heartbeatSince: start,
    answeredAt: after(8),
  };
  const look = (status: DPOJobStatus): ReturnType<typeof decide> =>
    decide(observed(aJob({}, status), { jobs: [aChild(1)], pods: [runningPod('a')], answer }), after(9));
  const first = look(begun());
  expect(statusSchema.parse(first.status)).toMatchObject({
    best: { ...best, value: 0.512346 },
    stoppedEarly,
    comparison: { ...comparison, tokens: 20.1235 },
    report,
  });
  expect(first.events).toEqual([
    { type: 'Normal', reason: 'StoppedEarly', message: 'step 8: evalLoss did not improve' },
  ]);
  expect(look(first.status).events).toEqual([]);
});

describe('a warning of the trainer', () => {
  const warned = (...warnings: { reason: string; message: string }[]): Observation['answer'] => ({
    progress: { ...roughRecord(7), warnings },
    heartbeatSince: start,
    answeredAt: after(7),
  });
  const duplicates = { reason: 'DuplicateRows', message: '3 of 9 rows' };
  const bias = { reason: 'LengthBias', message: 'the longer answer' };
  const look = (status: DPOJobStatus, answer: Observation['answer']): ReturnType<typeof decide> =>
    decide(
      observed(aJob({}, status), { jobs: [aChild(1)], pods: [runningPod('a')], ...(answer && { answer }) }),
      after(8),
    );

  test('becomes an Event and stands in status', () => {
    const { events, status } = look(begun(), warned(duplicates));
    expect(events).toEqual([{ type: 'Warning', ...duplicates }]);
    expect(statusSchema.parse(status).warnings).toEqual([duplicates]);
  });

  test('is an Event once per reason, also when a restarted trainer says it again in other words', () => {
    const first = look(begun(), warned(duplicates)).status;
    expect(look(first, warned({ ...duplicates, message: '4 of 9 rows' }, bias)).events).toEqual([
      { type: 'Warning', ...bias },
    ]);
    expect(look(first, undefined)).toMatchObject({ events: [], status: { warnings: [duplicates] } });
  });

  test('that only the termination message of the last pod carries is not lost', () => {
    const record = { ...roughRecord(9), metrics: {}, warnings: [duplicates] };
    const pods = [endedPod('a', 65, 10, JSON.stringify({ reason: 'InvalidData', message: 'no', progress: record }))];
    const jobs = [endedChild(1, 'Failed', 'PodFailurePolicy')];
    const { events } = decide(observed(aJob({}, begun()), { jobs, pods }), after(11));
    expect(events.map(({ reason }) => reason)).toEqual(['DuplicateRows', 'InvalidData']);
  });

  test('beyond the sixteenth reason is left out: status stays small', () => {
    const many = Array.from({ length: 16 }, (_, i) => ({ reason: `Reason${i}`, message: '' }));
    const full = look(begun(), warned(...many)).status;
    const { events, status } = look(full, warned(bias));
    expect([events, status.warnings?.length]).toEqual([[], 16]);
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

test('whatever users and pods do: at most one Job lives, terminal stays terminal, the attempt never falls', () => {
  const step = constantFrom('suspend', 'resume', 'gone', 'lost', 'complete', 'fail', 'exit75', 'exit1', 'wait');
  assert(
    property(array(step, { maxLength: 40 }), (steps) => {
      const world: Observation = observed(aJob());
      let ended: string | undefined;
      steps.forEach((what, index) => {
        const before = world.job.status?.attempt ?? 0;
        play(world, what, index);
        const decision = decide(world, after(index * 20));
        world.job.status = decision.status;
        apply(world, decision.actions);
        expect(world.jobs.filter(({ metadata }) => metadata.deletionTimestamp === undefined).length).toBeLessThan(2);
        expect(world.jobs.length).toBeLessThan(2);
        expect(decision.status.attempt ?? 0).toBeGreaterThanOrEqual(before);
        if (ended !== undefined) {
          expect(decision.status.state).toBe(ended);
          expect(decision.actions.some(({ kind }) => kind === 'create')).toBe(false);
        }
        const terminal = ['Complete', 'Failed'].includes(decision.status.state ?? '');
        ended ??= terminal ? decision.status.state : undefined;
      });
    }),
    { numRuns: 500 },
  );
});

/** What the user or the cluster does. */
function play(world: Observation, what: string, index: number): void {
  const child = world.jobs[0];
  if (what === 'suspend' || what === 'resume') {
    world.job.spec = { ...world.job.spec, suspend: what === 'suspend' };
  } else if (what === 'lost' || (what === 'gone' && child?.metadata.deletionTimestamp !== undefined)) {
    world.jobs = [];
    world.pods = [];
  } else if (child !== undefined) {
    end(world, child, what, index);
  }
}

/** How a Job or its pod ends. */
function end(world: Observation, child: ObservedJob, what: string, index: number): void {
  if (what === 'complete' || what === 'fail') {
    child.status ??= { conditions: [{ type: what === 'fail' ? 'Failed' : 'Complete', status: 'True' }] };
  } else if (what.startsWith('exit')) {
    world.pods = [...world.pods, endedPod(`p${index}`, Number(what.slice(4)), index * 20 - 1)];
  }
}

/** What the API server does with the actions. */
function apply(world: Observation, actions: ReturnType<typeof decide>['actions']): void {
  for (const action of actions) {
    if (action.kind === 'create') {
      world.jobs.push(aChild(action.attempt));
    } else if (action.kind === 'deleteJob') {
      const child = world.jobs.find(({ metadata }) => metadata.name === action.name);
      if (child !== undefined) {
        child.metadata.deletionTimestamp = start;
      }
    }
  }
}
