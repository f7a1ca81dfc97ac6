/** Condition types of a DPOJob, all set at the first visit; each is a statement about now. */
export const conditionTypes = [
  /** The specification can be run as it is. */
  'Accepted',
  /** The trainer's pod is up. */
  'PodsReady',
  /** The trainer answered and is past loading. */
  'Training',
  /** Stopped by `spec.suspend`; no pod runs. */
  'Suspended',
  /** Trained and exported. Terminal. */
  'Complete',
  /** Given up; the reason says why. Terminal. */
  'Failed',
] as const;
export type ConditionType = (typeof conditionTypes)[number];

/** Reasons that the operator itself gives for Failed (others are names of exit-codes.ts). */
export const failureReasons = {
  /** Active longer than `activeDeadlineSeconds`. */
  DeadlineExceeded: 'DeadlineExceeded',
  /** No trainer ran within `startDeadlineSeconds`. */
  StartDeadlineExceeded: 'StartDeadlineExceeded',
  /** The trainer answered but made no progress within `progressDeadlineSeconds`. */
  ProgressDeadlineExceeded: 'ProgressDeadlineExceeded',
  /** Restarted for free again and again without a newer checkpoint. */
  RestartsWithoutProgress: 'RestartsWithoutProgress',
  /** More failures than `backoffLimit`. */
  BackoffLimitExceeded: 'BackoffLimitExceeded',
  /** The child Job failed for a reason of its own. */
  JobFailed: 'JobFailed',
} as const;
