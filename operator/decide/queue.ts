import { isQueued, presentAttempt } from './attempt.ts';
import { bank } from './deadline.ts';
import type { Decision, Observation } from './observation.ts';
import { nextStatus } from './status.ts';

/**
 * A queue holds the Job back, before it is admitted or after an eviction: seconds in a queue are neither active nor late, so
 * the clocks stand still until the Job may run, and pods that save and stop meanwhile are no restarts.
 */
export function queued(observation: Observation, now: string): Decision | undefined {
  if (!isQueued(observation)) return undefined;
  const { attempt, startTime } = presentAttempt(observation, now);
  const status = bank(nextStatus(observation, { phase: 'Active' }, now, { attempt, startTime }), observation, now);
  return { status, actions: [], events: [] };
}
