import type { DPOJob } from '../../crds/dpojob.ts';
import { failureReasons } from '../../crds/conditions.ts';
import { freeExitCodes } from '../../crds/exit-codes.ts';
import { storedCondition } from './conditions.ts';
import type { Ended } from './failure.ts';
import { secondsBetween, type Observation, type ObservedJob } from './observation.ts';

/** Whether a trainer stopped as it was asked to: after it had saved, or before it could. */
export const isFree = ({ exitCode }: Ended): boolean =>
  exitCode !== undefined && (freeExitCodes as readonly number[]).includes(exitCode);

/** Reasons to fail a job for which the operator stops a pod that runs; for others the Job ended first. */
const stopping: readonly string[] = [
  failureReasons.DeadlineExceeded,
  failureReasons.StartDeadlineExceeded,
  failureReasons.ProgressDeadlineExceeded,
  failureReasons.RestartsWithoutProgress,
];

/**
 * Whether the pod was stopped since the job was over; then it may also have been killed, as one is that does not stop in
 * its grace period. Where the operator stopped it, that is known without the times of two clocks, of which one may have
 * jumped.
 */
export function isAfterEnd(ended: Ended, job: DPOJob): boolean {
  const { completionTime } = job.status ?? {};
  if (completionTime === undefined) return false;
  const byUs = stopping.includes(storedCondition(job, 'Failed')?.reason ?? '');
  return byUs || isFree(ended) || Date.parse(ended.finishedAt) >= Date.parse(completionTime);
}

/** Seconds by which the Job controller may make the pod of a Job that it lets run again before it says so. */
const resumeSeconds = 2;

/**
 * Whether the pod was stopped by a suspend or a queue, which stop the attempt's clock; also where the operator did not see
 * it stop.
 */
export function wasHeldBack(ended: Ended, { job, jobs }: Observation): boolean {
  const live = jobs.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  // A Job that runs again may have done so before the operator looked: then its clock stands still yet.
  const isHeld = job.status?.attemptStartTime === undefined && live?.spec?.suspend !== false;
  return isFree(ended) && (isHeld || wasEvicted(ended, live));
}

/**
 * Whether the pod was told to go while its Job was held back: the Job still is, or runs again since after the pod was made.
 * Both times are of the control plane; the operator's clock may have jumped.
 */
function wasEvicted({ toldToGo, createdAt }: Ended, live: ObservedJob | undefined): boolean {
  const resumed = live?.status?.conditions?.find(({ type, status }) => type === 'Suspended' && status === 'False');
  const since = resumed?.lastTransitionTime ?? createdAt;
  return toldToGo && (live?.spec?.suspend === true || secondsBetween(createdAt, since) > resumeSeconds);
}
