import { failureReasons } from '../../crds/conditions.ts';
import { trainerImage } from '../desired/trainer-job.ts';
import { attemptOf, keptUntilNextAttempt, presentAttempt } from './attempt.ts';
import { isTrue } from './conditions.ts';
import { deadlines, progressDeadline } from './deadline.ts';
import type { Decision, Observation, ObservedJob } from './observation.ts';
import { countRestarts, restartsWithoutProgress } from './retry.ts';
import { nextStatus } from './status.ts';
import { deleteJobs, suspend } from './suspend.ts';
import { ttlLeft } from './ttl.ts';
import { warningEvents } from './warnings.ts';

/** What to do about one DPOJob now. Pure: `now` (RFC 3339) is the only clock. */
export function decide(observation: Observation, now: string): Decision {
  const { job } = observation;
  if (job.metadata.deletionTimestamp !== undefined) {
    return { status: job.status ?? {}, actions: [], events: [] };
  }
  if (isTrue(job, 'Complete') || isTrue(job, 'Failed')) {
    return terminal(observation, now);
  }
  const active = job.spec.suspend ? suspend : run;
  const decision = jobOutcome(observation, now) ?? active(observation, now);
  return { ...decision, events: [...warningEvents(observation), ...decision.events] };
}

/** Terminal stays terminal: nothing is made again; only the TTL and a Job that still runs are left to end. */
function terminal(observation: Observation, now: string): Decision {
  const { job } = observation;
  const left = ttlLeft(job, now);
  const status = job.status ?? {};
  if (left === 0) {
    return { status, actions: [{ kind: 'deleteDPOJob', uid: job.metadata.uid }], events: [] };
  }
  const running = { ...observation, jobs: observation.jobs.filter((child) => finished(child) === undefined) };
  return { status, actions: deleteJobs(running), events: [], ...(left === undefined ? {} : { requeueAfter: left }) };
}

/** Type of the condition with which a Job ended. */
function finished(child: ObservedJob): { type: string; reason?: string; message?: string } | undefined {
  return child.status?.conditions?.find(
    ({ type, status }) => status === 'True' && (type === 'Complete' || type === 'Failed'),
  );
}

/** The decision when the present attempt's Job has ended. */
function jobOutcome(observation: Observation, now: string): Decision | undefined {
  const child = observation.jobs.find((one) => attemptOf(one) === observation.job.status?.attempt);
  const end = child === undefined ? undefined : finished(child);
  if (end === undefined) {
    return undefined;
  }
  if (end.type === 'Complete') {
    const status = nextStatus(observation, { phase: 'Complete' }, now);
    return { status, actions: [], events: [{ type: 'Normal', reason: 'Complete', message: 'trained and exported' }] };
  }
  const last = countRestarts(observation.job.status ?? {}, observation.pods).lastFailure;
  return fail(
    observation,
    { reason: failedReason(end.reason, last?.reason), message: last?.message || (end.message ?? '') },
    now,
  );
}

/** A permanent exit code gives its own name; a spent budget keeps the Job's. */
function failedReason(jobReason: string | undefined, exit: string | undefined): string {
  if (jobReason === 'PodFailurePolicy') {
    return exit ?? failureReasons.JobFailed;
  }
  return jobReason ?? failureReasons.JobFailed;
}

/** Failed: state it, and stop what still runs. A Job that ended by itself stays, with its pods' logs. */
function fail(observation: Observation, why: { reason: string; message: string }, now: string): Decision {
  const running = { ...observation, jobs: observation.jobs.filter((child) => finished(child) === undefined) };
  return {
    status: nextStatus(observation, { phase: 'Failed', ...why }, now),
    actions: deleteJobs(running),
    events: [{ type: 'Warning', ...why }],
  };
}

/** An active job: deadlines first, then the attempt's Job, made once the one before is gone. */
function run(observation: Observation, now: string): Decision {
  const limits = deadlines(observation, now);
  const passed =
    [...limits, ...progressDeadline(observation)].find(({ left }) => left <= 0) ?? restartsWithoutProgress(observation);
  if (passed !== undefined) {
    return fail(observation, { reason: passed.reason, message: passed.message }, now);
  }
  const attempt = presentAttempt(observation, now);
  const create = observation.jobs.length === 0;
  const image = create ? { image: trainerImage(observation.job.spec, observation.images) } : {};
  const isNew = attempt.attempt !== observation.job.status?.attempt;
  const requeueAfter = Math.min(...limits.map(({ left }) => left));
  return {
    status: nextStatus(observation, { phase: 'Active' }, now, { ...attempt, ...image }),
    actions: create ? [{ kind: 'create', attempt: attempt.attempt }] : [],
    events: isNew
      ? [{ type: 'Normal', reason: 'Started', message: `attempt ${attempt.attempt}` }]
      : keptUntilNextAttempt(observation),
    ...(Number.isFinite(requeueAfter) ? { requeueAfter } : {}),
  };
}
