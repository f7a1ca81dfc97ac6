import { attemptOf } from './attempt.ts';
import { bank } from './deadline.ts';
import { lossLeft, nodeLost } from './lost-node.ts';
import type { Action, Decision, Observation, ObservedJob } from './observation.ts';
import { livePod } from './pods.ts';
import { nextStatus } from './status.ts';
import { deleteJobs } from './suspend.ts';
import { imageStatus } from '../desired/trainer-job.ts';

/** Whether a Job belongs to an attempt that was given up since its node was lost: nobody waits for it to be gone. */
const isLost = ({ job }: Observation, child: ObservedJob): boolean =>
  attemptOf(child) <= (job.status?.lostAttempt ?? 0);

/** The observation without the Jobs of lost attempts, and the deletes that these still need. */
export function withoutLost(observation: Observation): { present: Observation; deletes: Action[] } {
  const lost = observation.jobs.filter((child) => isLost(observation, child));
  const jobs = observation.jobs.filter((child) => !isLost(observation, child));
  return { present: { ...observation, jobs }, deletes: deleteJobs({ ...observation, jobs: lost }) };
}

/**
 * Moves on to the next attempt when the node has been lost for nodeLossSeconds, without waiting for the end of its pod,
 * which nobody can confirm. Should that pod still run, it finds the newer one's fence in the checkpoint folder and stops.
 */
export function moveOn(observation: Observation, now: string): Decision | undefined {
  const { left, gives } = lossLeft(observation, now) ?? {};
  const { message = '' } = nodeLost(observation, now) ?? {};
  if (left === undefined || left > 0 || gives !== 'attempt') return undefined;
  const { job, images } = observation;
  const { attempt: lostAttempt = 1 } = job.status ?? {};
  const attempt = lostAttempt + 1;
  const lastFailure = {
    reason: 'NodeLost',
    pod: livePod(observation)?.metadata.name ?? '',
    message: message.slice(0, 1024),
    time: now,
  };
  const counted = bank(nextStatus(observation, { phase: 'Active' }, now), observation, now);
  const status = {
    ...counted,
    attempt,
    lostAttempt,
    lastFailure,
    attemptStartTime: now,
    // An end before it may be seen only now.
    restarts: (counted.restarts ?? 0) + 1,
    ...imageStatus(job, images),
  };
  return {
    status,
    restsOnChildren: true,
    actions: [...deleteJobs(observation), { kind: 'create', attempt }],
    events: [
      { type: 'Warning', reason: 'NodeGivenUp', message: `attempt ${attempt} begins without waiting: ${message}` },
    ],
  };
}
