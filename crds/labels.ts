import { group } from './dpojob.ts';

/** Labels on every object that the operator makes: others may select by them. */
export const labels = {
  /** Name of the DPOJob. */
  dpojob: `${group}/dpojob`,
  /** UID of the DPOJob: one of the same name that was deleted before had other objects. */
  uid: `${group}/dpojob-uid`,
  /** Number of the attempt that the object belongs to. */
  attempt: `${group}/attempt`,
  managedBy: 'app.kubernetes.io/managed-by',
} as const;

/** Value of the managed-by label, and the field manager of what the operator applies. */
export const manager = 'dpo-operator';

/** Value of spec.managedBy that means this operator, as its absence does; with any other it leaves the job alone. */
export const managedByUs = `${group}/${manager}`;

/** Labels of a DPOJob that are copied to its child Job, so that Kueue admits it without knowing DPOJobs. */
export const copiedLabels = ['kueue.x-k8s.io/queue-name', 'kueue.x-k8s.io/priority-class'] as const;
