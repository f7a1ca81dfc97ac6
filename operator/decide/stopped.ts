import type { DPOJob } from '../../crds/dpojob.ts';
import { failureReasons } from '../../crds/conditions.ts';
import { freeExitCodes } from '../../crds/exit-codes.ts';
import { storedCondition } from './conditions.ts';
import type { Ended } from './failure.ts';
import { secondsBetween, type Observation } from './observation.ts';

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

/** Seconds in which the Job controller makes the pod of a Job that it lets run again, before it says so. */
const resumeSeconds = 10;

/**
 * Whether the pod was stopped by a suspend or a queue, which stop the attempt's clock, or had been before its Job ran again.
 * The Job controller's times and those of pods' making are of the control plane; the operator's clock may have jumped.
 */
export function wasHeldBack(ended: Ended, { job, jobs }: Observation): boolean {
  if (!isFree(ended)) return false;
  const live = jobs.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  const resumed = live?.status?.conditions?.find(({ type, status }) => type === 'Suspended' && status === 'False');
  const since = resumed?.lastTransitionTime ?? ended.createdAt;
  return job.status?.attemptStartTime === undefined || secondsBetween(ended.createdAt, since) > resumeSeconds;
}
