/** Condition types of a DPOJob, all set at the first visit; each is a statement about now. */
export const conditionTypes = [
  /** The specification can be run as it is (reason NoResume: what was trained does not outlive its pod). */
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

/** Reasons for which Accepted is False (also QuotaExceeded, below), and what they mean. */
export const refusalReasons = {
  NameTaken: 'something else has the name of the Job or ConfigMap',
  JobRefused: 'the API server refuses the Job; spec.pod and spec.resources may be changed while spec.suspend is true',
  ClaimRefused:
    'the API server refuses the claim that spec.checkpoint.volume describes: delete the DPOJob and make it with another',
} as const;

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

interface WaitReason {
  /** The word for people that goes with it. */
  state: 'Pending' | 'Starting' | 'NodeLost';
  /** What a user reads before Kubernetes' own words. */
  says: string;
}

/** What keeps a trainer from running: reasons for which PodsReady is not True although the job is active. */
export const waitReasons = {
  QuotaExceeded: { state: 'Pending', says: "a ResourceQuota of the namespace leaves no room for the trainer's pod" },
  PodSecurityViolated: { state: 'Pending', says: 'the namespace enforces a Pod Security standard that the pod breaks' },
  ServiceAccountMissing: { state: 'Pending', says: 'the ServiceAccount of pod.serviceAccountName is not there' },
  PodRefused: { state: 'Pending', says: "the API server refuses the trainer's pod" },
  ClaimMissing: { state: 'Pending', says: 'a PersistentVolumeClaim that the job names is not there' },
  ClaimUnbound: { state: 'Pending', says: 'a PersistentVolumeClaim that the job names has no volume yet' },
  Unschedulable: { state: 'Pending', says: 'no node can take the pod' },
  ImagePullFailed: { state: 'Starting', says: "the trainer's image cannot be pulled" },
  SecretMissing: { state: 'Starting', says: 'a Secret, or a key of it, that the job names is not there' },
  ConfigMapMissing: {
    state: 'Starting',
    says: 'a ConfigMap, or a key of it, that the job names is not there',
  },
  ContainerNotCreated: { state: 'Starting', says: "the node cannot make the trainer's container" },
  VolumeNotMounted: { state: 'Starting', says: 'the node cannot mount a volume of the pod' },
  SandboxNotCreated: { state: 'Starting', says: "the node cannot make the pod's sandbox (its network or runtime)" },
  NodeLost: { state: 'NodeLost', says: "the pod's node does not answer" },
} as const satisfies Record<string, WaitReason>;
export type WaitReasonName = keyof typeof waitReasons;

export const isWaitReason = (reason: string): reason is WaitReasonName => Object.hasOwn(waitReasons, reason);
