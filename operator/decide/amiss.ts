import { failureReasons, isWaitReason, type ConditionType } from '../../crds/conditions.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import type { Statement } from './conditions.ts';

type LastFailure = DPOJobStatus['lastFailure'];

/** Reasons to give up that say nothing of what went wrong: the failure that led to them does. */
const indirect: readonly string[] = [failureReasons.BackoffLimitExceeded, failureReasons.StartDeadlineExceeded];

/** In one word and in words what is amiss, for `kubectl get`; nothing where all is well. */
export function amiss(
  { Failed, Accepted, PodsReady }: Record<ConditionType, Statement>,
  state: DPOJobStatus['state'],
  last: LastFailure,
): Pick<DPOJobStatus, 'reason' | 'message'> {
  if (Failed.status === 'True') {
    const reason = indirect.includes(Failed.reason) ? (last?.reason ?? Failed.reason) : Failed.reason;
    return inShort(reason, Failed.message);
  }
  if (Accepted.status === 'False') {
    return inShort(Accepted.reason, Accepted.message);
  }
  if (isWaitReason(PodsReady.reason)) {
    return inShort(PodsReady.reason, PodsReady.message);
  }
  return state === 'Restarting' && last !== undefined ? inShort(last.reason, last.message) : {};
}

const inShort = (reason: string, message = ''): Pick<DPOJobStatus, 'reason' | 'message'> => ({
  reason: reason.slice(0, 63),
  message: message.slice(0, 1024),
});
