import { attemptOf } from './attempt.ts';
import type { Action, Observation, ObservedJob } from './observation.ts';
import { deleteJobs } from './suspend.ts';

/**
 * The observation with the Jobs of earlier attempts as told to go, and the deletes that tell them: one whose labels were
 * taken and put back is seen again beside the present attempt's. Numbers only rise, so an old view deletes nothing that
 * should live.
 */
export function withoutEarlier(observation: Observation, now: string): { present: Observation; deletes: Action[] } {
  const { job, jobs } = observation;
  const highest = Math.max(job.status?.attempt ?? 0, ...jobs.map(attemptOf));
  const earlier = jobs.filter((child) => attemptOf(child) < highest);
  const told = ({ metadata, ...rest }: ObservedJob): ObservedJob => ({
    ...rest,
    metadata: { ...metadata, deletionTimestamp: metadata.deletionTimestamp ?? now },
  });
  const present = jobs.map((child) => (earlier.includes(child) ? told(child) : child));
  return { present: { ...observation, jobs: present }, deletes: deleteJobs({ ...observation, jobs: earlier }) };
}
