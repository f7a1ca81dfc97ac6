import { failureReasons, isWaitReason } from '../../crds/conditions.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import type { Observation } from './observation.ts';
import { accepted } from './accepted.ts';
import { secondsBetween } from './observation.ts';
import { livePod, mayStillRun, trainerState } from './pods.ts';
import { podsReady } from './ready.ts';

export interface Deadline {
  reason: string;
  message: string;
  /** What kept it from being met, for status.lastFailure. */
  cause: NonNullable<DPOJobStatus['lastFailure']>;
  /** Seconds left; zero or less: passed. */
  left: number;
}

/** Seconds that the job has been active, over all attempts. */
export function activeSeconds(observation: Observation, now: string): number {
  const { activeSeconds: earlier = 0, attemptStartTime } = observation.job.status ?? {};
  return earlier + (attemptStartTime === undefined ? 0 : Math.max(0, secondsBetween(attemptStartTime, now)));
}

/** When a container started that the kubelet could not start. */
const neverStarted = '1970-01-01T00:00:00Z';

/** Since when a trainer of the present attempt has run, in its kubelet's words; what is stored stays, its pod may go. */
export function trainerStart({ job, pods }: Observation): string | undefined {
  const { attemptStartTime, trainerStartTime } = job.status ?? {};
  if (attemptStartTime === undefined || trainerStartTime !== undefined) {
    return trainerStartTime;
  }
  const since = Date.parse(attemptStartTime);
  const starts = pods.map((pod) => {
    const { running, terminated } = trainerState(pod) ?? {};
    // One that ended before was evicted by a queue, in which the job waited since.
    const before = terminated?.finishedAt !== undefined && Date.parse(terminated.finishedAt) < since;
    return Date.parse((before ? undefined : (running ?? terminated)?.startedAt) ?? neverStarted);
  });
  const first = Math.min(...starts.filter((one) => one > Date.parse(neverStarted)));
  // A clock of another node may be behind: no trainer of this attempt ran before it.
  return first === Infinity ? undefined : new Date(Math.max(first, since)).toISOString();
}

/** Seconds that trainers have had, over all attempts: without those in which the job waited for a node or a quota. */
export function trainerSeconds(observation: Observation, now: string): number {
  const since = trainerStart(observation);
  const earlier = observation.job.status?.trainerSeconds ?? 0;
  return earlier + (since === undefined ? 0 : Math.max(0, secondsBetween(since, now)));
}

/** Adds the present attempt's seconds to those of earlier ones and stops its clocks. */
export function bank(status: DPOJobStatus, observation: Observation, now: string): DPOJobStatus {
  const { attemptStartTime: _stopped, trainerStartTime: _too, ...rest } = status;
  return {
    ...rest,
    activeSeconds: Math.round(activeSeconds(observation, now)),
    trainerSeconds: Math.round(trainerSeconds(observation, now)),
  };
}

/** Not where its Job was deleted: then another trainer follows. */
function hasEndedWell(observation: Observation): boolean {
  const { jobs, pods } = observation;
  return jobs.length > 0 && !mayStillRun(observation) && pods.some(({ status }) => status?.phase === 'Succeeded');
}

/**
 * The deadlines that run now; their clocks are read from status, so they survive a restart of the operator. None runs once
 * the trainer has ended well: the Job's word of it follows some seconds later.
 */
export function deadlines(observation: Observation, now: string): Deadline[] {
  const { spec } = observation.job;
  const found: Deadline[] = [];
  if (hasEndedWell(observation)) return found;
  if (spec.activeDeadlineSeconds !== undefined) {
    const reason = failureReasons.DeadlineExceeded;
    const message = `active for longer than activeDeadlineSeconds (${spec.activeDeadlineSeconds})`;
    const left = spec.activeDeadlineSeconds - activeSeconds(observation, now);
    found.push({ reason, message, left, cause: missed(observation, now, { reason, message }) });
  }
  return [...found, ...startDeadline(observation, now)];
}

/** A deadline that was missed, as status.lastFailure has it. */
function missed(observation: Observation, time: string, why: { reason: string; message: string }): Deadline['cause'] {
  const pod = livePod(observation)?.metadata.name;
  return { ...why, message: why.message.slice(0, 1024), time, ...(pod === undefined ? {} : { pod }) };
}

/** Runs from creation, admission by a queue or resume until a trainer has run; what kept it from running is the cause. */
function startDeadline(observation: Observation, now: string): Deadline[] {
  const { spec, status } = observation.job;
  const limit = spec.startDeadlineSeconds;
  const since = status?.attemptStartTime;
  if (limit === undefined || since === undefined || trainerStart(observation) !== undefined) {
    return [];
  }
  const reason = failureReasons.StartDeadlineExceeded;
  const late = `no trainer ran within startDeadlineSeconds (${limit})`;
  const refusal = accepted(observation);
  const kept = refusal.status === 'False' ? refusal : podsReady(observation, now);
  const known = kept === refusal || isWaitReason(kept.reason);
  const message = known ? `${late}: ${kept.message}` : late;
  const why = known ? { reason: kept.reason, message: kept.message ?? '' } : { reason, message };
  const left = limit - secondsBetween(since, now);
  return [{ reason, message, left, cause: missed(observation, now, why) }];
}

/**
 * Runs only between two answered polls with the same heartbeat: silence is unknown, not stalled. It moves only with an
 * answer, which brings a look of its own.
 */
export function progressDeadline(observation: Observation, now: string): Deadline[] {
  const { job, answer } = observation;
  const limit = job.spec.progressDeadlineSeconds;
  // A trainer that ended, or that was told to, beats no more: its last answer says nothing of what is to come.
  const isTold =
    job.status?.attemptStartTime === undefined || livePod(observation)?.metadata.uid !== answer?.progress.podUID;
  if (limit === undefined || answer === undefined || isTold) {
    return [];
  }
  const left = limit - secondsBetween(answer.heartbeatSince, answer.answeredAt);
  const message = `no progress within progressDeadlineSeconds (${limit}) in stage ${answer.progress.stage}`;
  const reason = failureReasons.ProgressDeadlineExceeded;
  return [{ reason, message, left, cause: missed(observation, now, { reason, message }) }];
}
