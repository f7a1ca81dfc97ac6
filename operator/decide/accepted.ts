import type { DPOJob, DPOJobStatus } from '../../crds/dpojob.ts';
import { storedCondition } from './conditions.ts';
import type { Statement } from './conditions.ts';
import type { Observation } from './observation.ts';

/** Whether the specification can be run. What refused it stays said until the attempt's Job is there. */
export function accepted({ job, jobs }: Observation): Statement {
  const before = storedCondition(job, 'Accepted');
  return before?.status === 'False' && jobs.length === 0 ? before : { status: 'True', reason: 'Accepted' };
}

/** The status of a job whose child cannot be made, since something else has its name. */
export function nameTaken({ status = {} }: DPOJob, message: string, now: string): DPOJobStatus {
  const refusal = { status: 'False', reason: 'NameTaken', message } as const;
  const conditions = status.conditions?.map((one) => {
    const lastTransitionTime = one.status === 'False' ? one.lastTransitionTime : now;
    return one.type === 'Accepted' ? { ...one, ...refusal, lastTransitionTime } : one;
  });
  return conditions === undefined ? status : { ...status, conditions };
}
