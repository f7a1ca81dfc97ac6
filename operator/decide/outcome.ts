import { failureReasons } from '../../crds/conditions.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import { permanentExitCodes } from '../../crds/exit-codes.ts';
import { attemptOf } from './attempt.ts';
import { isTrue, storedCondition } from './conditions.ts';
import { secondsBetween } from './observation.ts';
import type { Decision, JobCondition, Observation, ObservedJob } from './observation.ts';
import { mayStillRun } from './pods.ts';
import { countRestarts } from './retry.ts';
import { nextStatus } from './status.ts';
import type { Phase } from './status.ts';
import { deleteJobs } from './suspend.ts';
import { ttlLeft } from './ttl.ts';

/** Seconds for which a Job's end waits for the sight of its pod's. */
const settleSeconds = 10;

/** Terminal stays terminal: nothing is made again; only the TTL and a Job that still runs are left to end. */
export function terminal(observation: Observation, now: string): Decision {
  const { job } = observation;
  const left = ttlLeft(job, now);
  if (left === 0) {
    return { status: job.status ?? {}, actions: [{ kind: 'deleteDPOJob', uid: job.metadata.uid }], events: [] };
  }
  return {
    status: nextStatus(observation, ended(observation), now),
    actions: deleteJobs(stillRunning(observation)),
    events: [],
    ...(left === undefined ? {} : { requeueAfter: left }),
  };
}

/** How the job ended, as status has it. A Job that failed for its own sake gets the name of an exit seen only now. */
function ended(observation: Observation): Phase {
  const { job } = observation;
  if (isTrue(job, 'Complete')) {
    return { phase: 'Complete' };
  }
  const { reason, message } = storedCondition(job, 'Failed') ?? { reason: failureReasons.JobFailed, message: '' };
  const end = reason === failureReasons.JobFailed ? presentEnd(observation) : undefined;
  return { phase: 'Failed', ...(end === undefined ? { reason, message } : failure(observation, end)) };
}

function stillRunning(observation: Observation): Observation {
  return { ...observation, jobs: observation.jobs.filter((child) => finished(child) === undefined) };
}

/** Type of the condition with which a Job ended. */
function finished(child: ObservedJob): JobCondition | undefined {
  return child.status?.conditions?.find(
    ({ type, status }) => status === 'True' && (type === 'Complete' || type === 'Failed'),
  );
}

function presentEnd({ job, jobs }: Observation): JobCondition | undefined {
  const child = jobs.find((one) => attemptOf(one) === job.status?.attempt);
  return child === undefined ? undefined : finished(child);
}

/** The decision when the present attempt's Job has ended. */
export function jobOutcome(observation: Observation, now: string): Decision | undefined {
  const end = presentEnd(observation);
  if (end === undefined) {
    return undefined;
  }
  if (awaitsPod(observation, end, now)) {
    return { status: observation.job.status ?? {}, actions: [], events: [], requeueAfter: 1, undecided: true };
  }
  if (end.type === 'Complete') {
    const status = nextStatus(observation, { phase: 'Complete' }, now);
    return { status, actions: [], events: [{ type: 'Normal', reason: 'Complete', message: 'trained and exported' }] };
  }
  return fail(observation, failure(observation, end), now);
}

/**
 * Whether the Job's end was seen before its pod's, in which the last record and the exit code are: two watches have no
 * common order. Not for long: a pod on a lost node may never be seen to end.
 */
function awaitsPod(observation: Observation, { lastTransitionTime }: JobCondition, now: string): boolean {
  const fresh = lastTransitionTime !== undefined && secondsBetween(lastTransitionTime, now) < settleSeconds;
  return fresh && mayStillRun(observation);
}

/** What is said when the budget of failures is spent: the last of them. */
function gaveUp(last: DPOJobStatus['lastFailure'], backoffLimit: number): string | undefined {
  return (
    last && `gave up after backoffLimit (${backoffLimit}); the last failure: ${last.reason}: ${last.message ?? ''}`
  );
}

/** A permanent exit code gives its own name; a spent budget keeps the Job's. */
function failure(observation: Observation, end: JobCondition): { reason: string; message: string } {
  const last = countRestarts(observation).lastFailure;
  const permanent = (permanentExitCodes as readonly number[]).includes(last?.exitCode ?? 0);
  const { reason = failureReasons.JobFailed as string, message = '' } = end;
  if (reason !== 'PodFailurePolicy') {
    return { reason, message: gaveUp(last, observation.job.spec.backoffLimit) ?? message };
  }
  return permanent && last !== undefined
    ? { reason: last.reason, message: last.message || message }
    : { reason: failureReasons.JobFailed, message };
}

interface Why {
  reason: string;
  message: string;
  /** What no pod's end tells. */
  cause?: NonNullable<DPOJobStatus['lastFailure']>;
}

/** Failed: state it, and stop what still runs. A Job that ended by itself stays, with its pods' logs. */
export function fail(observation: Observation, { reason, message, cause }: Why, now: string): Decision {
  const begins = cause === undefined ? {} : { lastFailure: cause };
  return {
    status: nextStatus(observation, { phase: 'Failed', reason, message }, now, begins),
    actions: deleteJobs(stillRunning(observation)),
    events: [{ type: 'Warning', reason, message }],
  };
}
