import { failureReasons } from '../../crds/conditions.ts';
import type { Observation } from './observation.ts';
import { secondsBetween } from './observation.ts';
import { trainerState } from './pods.ts';

export interface Deadline {
  reason: string;
  message: string;
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
  const starts = pods.map((pod) => {
    const state = trainerState(pod);
    return Date.parse(state?.running?.startedAt ?? state?.terminated?.startedAt ?? neverStarted);
  });
  const first = Math.min(...starts.filter((one) => one > Date.parse(neverStarted)));
  // A clock of another node may be behind: no trainer of this attempt ran before it.
  return first === Infinity ? undefined : new Date(Math.max(first, Date.parse(attemptStartTime))).toISOString();
}

/** Seconds that trainers have had, over all attempts: without those in which the job waited for a node or a quota. */
export function trainerSeconds(observation: Observation, now: string): number {
  const since = trainerStart(observation);
  const earlier = observation.job.status?.trainerSeconds ?? 0;
  return earlier + (since === undefined ? 0 : Math.max(0, secondsBetween(since, now)));
}

/** The deadlines that run now; their clocks are read from status, so they survive a restart of the operator. */
export function deadlines(observation: Observation, now: string): Deadline[] {
  const { spec } = observation.job;
  const found: Deadline[] = [];
  if (spec.activeDeadlineSeconds !== undefined) {
    found.push({
      reason: failureReasons.DeadlineExceeded,
      message: `active for longer than activeDeadlineSeconds (${spec.activeDeadlineSeconds})`,
      left: spec.activeDeadlineSeconds - activeSeconds(observation, now),
    });
  }
  return [...found, ...startDeadline(observation, now)];
}

/** Runs from creation or resume until a trainer has run. */
function startDeadline(observation: Observation, now: string): Deadline[] {
  const { spec, status } = observation.job;
  const limit = spec.startDeadlineSeconds;
  const since = status?.attemptStartTime;
  if (limit === undefined || since === undefined || trainerStart(observation) !== undefined) {
    return [];
  }
  const message = `no trainer ran within startDeadlineSeconds (${limit})`;
  return [{ reason: failureReasons.StartDeadlineExceeded, message, left: limit - secondsBetween(since, now) }];
}

/**
 * Runs only between two answered polls with the same heartbeat: silence is unknown, not stalled. It moves only with an
 * answer, which brings a look of its own.
 */
export function progressDeadline({ job, answer }: Observation): Deadline[] {
  const limit = job.spec.progressDeadlineSeconds;
  if (limit === undefined || answer === undefined) {
    return [];
  }
  const left = limit - secondsBetween(answer.heartbeatSince, answer.answeredAt);
  const message = `no progress within progressDeadlineSeconds (${limit}) in stage ${answer.progress.stage}`;
  return [{ reason: failureReasons.ProgressDeadlineExceeded, message, left }];
}
