import { isTrue } from './conditions.ts';
import { bank } from './deadline.ts';
import { lossLeft } from './lost-node.ts';
import type { Action, Decision, Observation } from './observation.ts';
import { mayStillRun } from './pods.ts';
import { nextStatus } from './status.ts';

/** Deletes of every child Job that is not being deleted yet, so that the trainer saves and no pod stays. */
export function deleteJobs({ jobs }: Observation): Action[] {
  return jobs
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata: { name, uid } }) => ({ kind: 'deleteJob', name, uid }));
}

/** Suspending: delete the Job and, once it and its pod are gone, say so. Seconds active are banked once, when the delete begins. */
export function suspend(observation: Observation, now: string): Decision {
  const isMissing = observation.jobs.length === 0;
  const gone = isMissing && !mayStillRun(observation);
  const status = nextStatus(observation, { phase: gone ? 'Suspended' : 'Suspending' }, now);
  const deletes = deleteJobs(observation);
  const { attempt } = observation.job.status ?? {};
  const isUnseen = isMissing && !gone && attempt !== undefined;
  const events: Decision['events'] =
    deletes.length === 0 ? [] : [{ type: 'Normal', reason: 'Suspended', message: 'saving a checkpoint and stopping' }];
  const loss = lossLeft(observation, now);
  return {
    status: bank(status, observation, now),
    actions: isUnseen ? [{ kind: 'find', attempt }] : deletes,
    events,
    restsOnChildren: gone && attempt !== undefined && !isTrue(observation.job, 'Suspended'),
    ...(loss?.gives === 'word' ? { requeueAfter: loss.left } : {}),
  };
}
