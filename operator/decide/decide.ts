import { trainerImage } from '../desired/trainer-job.ts';
import { keptUntilNextAttempt, presentAttempt } from './attempt.ts';
import { isTrue } from './conditions.ts';
import { deadlines, progressDeadline } from './deadline.ts';
import type { Decision, Observation } from './observation.ts';
import { fail, jobOutcome, terminal } from './outcome.ts';
import { restartsWithoutProgress } from './retry.ts';
import { nextStatus } from './status.ts';
import { suspend } from './suspend.ts';
import { earlyStopEvents, warningEvents } from './warnings.ts';

/** What to do about one DPOJob now. Pure: `now` (RFC 3339) is the only clock. */
export function decide(observation: Observation, now: string): Decision {
  const { job } = observation;
  if (job.metadata.deletionTimestamp !== undefined) {
    return { status: job.status ?? {}, actions: [], events: [] };
  }
  const over = isTrue(job, 'Complete') || isTrue(job, 'Failed');
  const active = job.spec.suspend ? suspend : run;
  const decision = over ? terminal(observation, now) : (jobOutcome(observation, now) ?? active(observation, now));
  return { ...decision, events: [...warningEvents(observation), ...earlyStopEvents(observation), ...decision.events] };
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
