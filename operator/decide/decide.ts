import { managedByUs } from '../../crds/labels.ts';
import { imageStatus } from '../desired/trainer-job.ts';
import { keptUntilNextAttempt, presentAttempt } from './attempt.ts';
import { isTrue, storedCondition } from './conditions.ts';
import { deadlines, progressDeadline } from './deadline.ts';
import { lossLeft } from './lost-node.ts';
import { moveOn, withoutLost } from './node-loss-seconds.ts';
import { withoutEarlier } from './earlier-attempts.ts';
import type { Decision, Observation } from './observation.ts';
import { fail, jobOutcome, terminal } from './outcome.ts';
import { mayStillRun } from './pods.ts';
import { queued } from './queue.ts';
import { restartsWithoutProgress } from './retry.ts';
import { nextStatus } from './status.ts';
import { suspend } from './suspend.ts';
import { earlyStopEvents, endEvents, waitEvents, warningEvents } from './warnings.ts';

/** What to do about one DPOJob now. Pure: `now` (RFC 3339) is the only clock. */
export function decide(observation: Observation, now: string): Decision {
  const { job } = observation;
  const { managedBy = managedByUs } = job.spec;
  if (job.metadata.deletionTimestamp !== undefined || managedBy !== managedByUs) {
    return { status: job.status ?? {}, actions: [], events: [] };
  }
  const { present: reachable, deletes: lost } = withoutLost(observation);
  const { present, deletes: earlier } = withoutEarlier(reachable, now);
  const over = isTrue(job, 'Complete') || isTrue(job, 'Failed');
  const active = job.spec.suspend ? suspend : run;
  const decision = over ? terminal(present, now) : (jobOutcome(present, now) ?? active(present, now));
  return { ...decision, actions: [...lost, ...earlier, ...decision.actions], events: allEvents(observation, decision) };
}

/** What happened since the last look, then what is decided; an end that decides the job is told once, as the latter. */
function allEvents(observation: Observation, { status, events }: Decision): Decision['events'] {
  const decided = new Set(events.map(({ reason }) => reason));
  const ends = endEvents(observation).filter(({ reason }) => !decided.has(reason));
  return [
    ...warningEvents(observation),
    ...earlyStopEvents(observation),
    ...ends,
    ...waitEvents(observation, status),
    ...events,
  ];
}

/** An active job: deadlines first, then the attempt's Job, made once the one before is gone. */
function run(observation: Observation, now: string): Decision {
  return queued(observation, now) ?? givenUp(observation, now) ?? moveOn(observation, now) ?? attempt(observation, now);
}

function givenUp(observation: Observation, now: string): Decision | undefined {
  const limits = [...deadlines(observation, now), ...progressDeadline(observation, now)];
  const passed = limits.find(({ left }) => left <= 0);
  const why = passed ?? restartsWithoutProgress(observation);
  return why && { ...fail(observation, why, now), restsOnChildren: true };
}

/**
 * Whether a trainer may have begun and nobody confirmed that it is gone: a pod may go unseen, and outlives a Job that was
 * deleted. Not where the API server refused the Job; of one whose name was taken, or its labels, nobody knows.
 */
const wasRefused = (job: Observation['job']): boolean => {
  const { status, reason } = storedCondition(job, 'Accepted') ?? {};
  return status === 'False' && reason !== 'NameTaken';
};
function mayHaveRun({ job, pods }: Observation, next: number): boolean {
  const { attempt, trainerStartTime } = job.status ?? {};
  const hasBegun = pods.length > 0 || trainerStartTime !== undefined || !wasRefused(job);
  return attempt !== undefined && (next !== attempt || hasBegun) && !isTrue(job, 'Suspended');
}

function attempt(observation: Observation, now: string): Decision {
  const present = presentAttempt(observation, now);
  const isMissing = observation.jobs.length === 0;
  const create = isMissing && !mayStillRun(observation);
  const image = create ? imageStatus(observation.job, observation.images) : {};
  const looks = [...deadlines(observation, now), lossLeft(observation, now) ?? { left: Infinity }];
  const requeueAfter = Math.min(...looks.map(({ left }) => left));
  return {
    status: nextStatus(observation, { phase: 'Active' }, now, { ...present, ...image }),
    actions: isMissing ? [{ kind: create ? 'create' : 'find', attempt: present.attempt }] : [],
    events: keptUntilNextAttempt(observation),
    restsOnChildren: create && mayHaveRun(observation, present.attempt),
    ...(Number.isFinite(requeueAfter) ? { requeueAfter } : {}),
  };
}
