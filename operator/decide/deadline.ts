import { failureReasons } from '../../crds/conditions.ts';
import type { Observation } from './observation.ts';
import { secondsBetween } from './observation.ts';

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
  return [...found, ...startDeadline(observation, now), ...progressDeadline(observation)];
}

/** Runs from creation or resume until a trainer has run. */
function startDeadline({ job, pods }: Observation, now: string): Deadline[] {
  const limit = job.spec.startDeadlineSeconds;
  const since = job.status?.attemptStartTime;
  const started = pods.some(({ status }) => {
    const state = status?.containerStatuses?.[0]?.state;
    return state?.running !== undefined || state?.terminated !== undefined;
  });
  if (limit === undefined || since === undefined || started) {
    return [];
  }
  const message = `no trainer ran within startDeadlineSeconds (${limit})`;
  return [{ reason: failureReasons.StartDeadlineExceeded, message, left: limit - secondsBetween(since, now) }];
}

/** Runs only between two answered polls with the same heartbeat: silence is unknown, not stalled. */
function progressDeadline({ job, answer }: Observation): Deadline[] {
  const limit = job.spec.progressDeadlineSeconds;
  if (limit === undefined || answer === undefined) {
    return [];
  }
  const left = limit - secondsBetween(answer.heartbeatSince, answer.answeredAt);
  const message = `no progress within progressDeadlineSeconds (${limit}) in stage ${answer.progress.stage}`;
  return [{ reason: failureReasons.ProgressDeadlineExceeded, message, left }];
}
