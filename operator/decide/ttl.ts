import type { DPOJob } from '../../crds/dpojob.ts';
import { secondsBetween } from './observation.ts';

/** Seconds until a finished job is to be deleted, or undefined if it stays. */
export function ttlLeft(job: DPOJob, now: string): number | undefined {
  const ttl = job.spec.ttlSecondsAfterFinished;
  const finished = job.status?.completionTime;
  return ttl === undefined || finished === undefined ? undefined : Math.max(0, ttl - secondsBetween(finished, now));
}
