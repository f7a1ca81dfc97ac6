import type { DPOJobStatus } from '../../crds/status.ts';
import { failureReasons } from '../../crds/conditions.ts';
import { permanentExitCodes } from '../../crds/exit-codes.ts';
import type { Progress } from '../../crds/progress.ts';
import { countedWith, uncounted } from './counted.ts';
import { endedPods, lastFailure } from './failure.ts';
import type { Ended } from './failure.ts';
import type { Observation } from './observation.ts';
import { isAfterEnd, isFree, wasHeldBack } from './stopped.ts';

/** Free restarts in a row without a newer checkpoint that fail the job. */
export const maxRestartsWithoutProgress = 3;

/** Before these nothing that a restart could get further with is told. */
const stagesWithCheckpoints = new Set<Progress['stage']>(['Training', 'Evaluating', 'Comparing', 'Exporting']);

type Restarts = Pick<
  DPOJobStatus,
  'restarts' | 'countedUntil' | 'restartsWithoutProgress' | 'lastFailure' | 'checkpoint'
>;

/** The pods that ended since the last look, but for those that the end of the job stopped. */
function newEnds(observation: Observation): Ended[] {
  const pods = uncounted(observation);
  return endedPods({ ...observation, pods }).filter((ended) => !isAfterEnd(ended, observation.job));
}

/** Of these the restarts. */
export function freshEnds(observation: Observation): Ended[] {
  return newEnds(observation).filter((ended) => !wasHeldBack(ended, observation));
}

/**
 * What status counts, with the pods that ended since the last look. One that was held back is passed over for good: later,
 * when its Job runs again, it would look like a restart to an operator that sees it for the first time.
 */
export function countRestarts(observation: Observation): Restarts {
  const { status = {} } = observation.job;
  const count = (before: Restarts, ended: Ended): Restarts => ({
    ...(wasHeldBack(ended, observation) ? before : countOne(before, ended)),
    countedUntil: countedWith(before.countedUntil, ended),
  });
  return newEnds(observation).reduce(count, {
    restarts: status.restarts ?? 0,
    restartsWithoutProgress: status.restartsWithoutProgress ?? 0,
    ...(status.countedUntil === undefined ? {} : { countedUntil: status.countedUntil }),
    ...(status.lastFailure === undefined ? {} : { lastFailure: status.lastFailure }),
    ...(status.checkpoint === undefined ? {} : { checkpoint: status.checkpoint }),
  });
}

/** What a pod's end costs, by the Job's pod failure policy (desired/failure-policy.ts). */
export function priceOf(ended: Ended): 'free' | 'counted' | 'final' {
  if ((permanentExitCodes as readonly (number | undefined)[]).includes(ended.exitCode)) return 'final';
  return isFree(ended) || ended.disrupted ? 'free' : 'counted';
}

function countOne(before: Restarts, ended: Ended): Restarts {
  const checkpoint = newer(before.checkpoint, ended.said?.progress?.checkpoint);
  return {
    ...before,
    restarts: (before.restarts ?? 0) + 1,
    restartsWithoutProgress: withoutProgress(before, ended, checkpoint),
    lastFailure: lastFailure(ended),
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}

/**
 * Only free exits count, and only in a stage whose checkpoints are reported; one made by this pod sets the count to zero.
 */
function withoutProgress(before: Restarts, ended: Ended, checkpoint: DPOJobStatus['checkpoint']): number {
  const count = before.restartsWithoutProgress ?? 0;
  if (madeCheckpoint(before.checkpoint, ended, checkpoint)) {
    return 0;
  }
  const begun = stagesWithCheckpoints.has(ended.said?.progress?.stage ?? 'Loading');
  return isFree(ended) && !ended.disrupted && begun ? count + 1 : count;
}

/** Whether the newest checkpoint was saved while this pod ran. Polls may have reported it already: its time decides. */
function madeCheckpoint(
  before: DPOJobStatus['checkpoint'],
  { startedAt }: Ended,
  checkpoint: DPOJobStatus['checkpoint'],
): boolean {
  if (checkpoint === undefined || startedAt === undefined) {
    return false;
  }
  return checkpoint.step >= (before?.step ?? 0) && Date.parse(checkpoint.time) > Date.parse(startedAt);
}

/** The checkpoint of the higher step. */
export function newer(a: DPOJobStatus['checkpoint'], b: DPOJobStatus['checkpoint']): DPOJobStatus['checkpoint'] {
  return b !== undefined && (a === undefined || b.step >= a.step) ? b : a;
}

/** The reason to give up when free restarts come one after another and none gets further. */
export function restartsWithoutProgress(observation: Observation): { reason: string; message: string } | undefined {
  const count = countRestarts(observation).restartsWithoutProgress ?? 0;
  const message = `${count} restarts in a row without a newer checkpoint: raise checkpoint.gracePeriodSeconds or save more often`;
  return count < maxRestartsWithoutProgress ? undefined : { reason: failureReasons.RestartsWithoutProgress, message };
}
