import { conditionTypes } from '../../crds/conditions.ts';
import type { ConditionType } from '../../crds/conditions.ts';
import type { DPOJob } from '../../crds/dpojob.ts';
import type { Condition } from '../../crds/status.ts';

export interface Statement {
  status: Condition['status'];
  reason: string;
  message?: string;
}

/** All conditions, with the time of the last change kept where the status did not change. */
export function conditions(job: DPOJob, statements: Record<ConditionType, Statement>, now: string): Condition[] {
  return conditionTypes.map((type) => {
    const { status, reason, message = '' } = statements[type];
    const before = storedCondition(job, type);
    return {
      type,
      status,
      observedGeneration: job.metadata.generation ?? 0,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime : now,
      reason,
      message: message.slice(0, 32_768),
    };
  });
}

/** A condition of the stored status. */
export function storedCondition(job: DPOJob, type: ConditionType): Condition | undefined {
  return job.status?.conditions?.find((one) => one.type === type);
}

/** Whether a condition is True in the stored status. */
export function isTrue(job: DPOJob, type: ConditionType): boolean {
  return storedCondition(job, type)?.status === 'True';
}
