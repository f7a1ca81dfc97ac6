import { refusalReasons } from '../../crds/conditions.ts';
import { isEphemeral } from '../../crds/output.ts';
import type { DPOJob } from '../../crds/dpojob.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import { cause } from './cause.ts';
import { storedCondition } from './conditions.ts';
import type { Statement } from './conditions.ts';
import { secondsBetween, type Observation } from './observation.ts';

/** Whether the specification can be run. What refused it stays said until the attempt's Job is there. */
export function accepted({ job, jobs }: Observation): Statement {
  const before = storedCondition(job, 'Accepted');
  if (before?.status === 'False' && jobs.length === 0) return before;
  return isEphemeral(job.spec)
    ? { status: 'True', reason: 'NoResume', message: 'checkpoints go with their pod: a restart begins anew' }
    : { status: 'True', reason: 'Accepted' };
}

/** Why a child of a job cannot be made. */
export interface Refusal {
  reason: keyof typeof refusalReasons | 'QuotaExceeded';
  message: string;
}

/** Something else has the name of the child. */
export function nameTaken(child: string): Refusal {
  return { reason: 'NameTaken', message: `${child} exists and belongs to something else: delete or rename it` };
}

/** The child is there and ours, but the labels by which it is watched were taken from it. */
export function labelsTaken(child: string): Refusal {
  const message = `${child} has lost labels that were made with it, so that its end is not seen: put them back, or delete it`;
  return { reason: 'NameTaken', message };
}

/** The API server refuses the child as it is, or has no room for it. */
export function notMade(kind: string | undefined, name: string | undefined, said: string): Refusal {
  const { reason, message = '' } = cause('jobController', said);
  if (reason === 'QuotaExceeded') return { reason, message };
  const refusal = kind === 'PersistentVolumeClaim' ? 'ClaimRefused' : 'JobRefused';
  return { reason: refusal, message: `${refusalReasons[refusal]}: ${kind} ${name}: ${said}` };
}

/** Seconds to the first and longest to the next attempt to make a child: nothing tells when a name or a quota is free. */
const retries = {
  NameTaken: [5, 30],
  QuotaExceeded: [30, 300],
  JobRefused: [30, 300],
  ClaimRefused: [30, 300],
} as const satisfies Record<Refusal['reason'], readonly [number, number]>;

/** Seconds after which a child that could not be made is tried again: as long as it has been so, within bounds. */
export function retrySeconds(job: DPOJob, { reason }: Refusal, now: string): number {
  const [first, longest] = retries[reason];
  const before = storedCondition(job, 'Accepted');
  const since = before?.status === 'False' ? secondsBetween(before.lastTransitionTime, now) : 0;
  return Math.min(longest, Math.max(first, since));
}

/** The status of a job whose child cannot be made. */
export function refused({ status = {} }: DPOJob, { reason, message }: Refusal, now: string): DPOJobStatus {
  const refusal = { status: 'False', reason, message: message.slice(0, 32_768) } as const;
  const conditions = status.conditions?.map((one) => {
    const lastTransitionTime = one.status === 'False' ? one.lastTransitionTime : now;
    return one.type === 'Accepted' ? { ...one, ...refusal, lastTransitionTime } : one;
  });
  return conditions === undefined ? status : { ...status, conditions, reason, message: message.slice(0, 1024) };
}
