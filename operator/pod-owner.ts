import { labels } from '../crds/labels.ts';
import type { StoredJob, StoredPod } from './keep.ts';

/** The reference to whatever controls an object. */
export const controllerOf = <T extends { controller?: boolean }>(metadata: { ownerReferences?: T[] }): T | undefined =>
  metadata.ownerReferences?.find(({ controller }) => controller === true);

/**
 * UID of the DPOJob whose child is a pod's controller. Labels alone can be written on any pod; the controller is a Job that
 * is named as the DPOJob's attempts are, which is known also when the Job is gone.
 */
export function dpojobOf({ metadata }: StoredPod): string | undefined {
  const { [labels.uid]: uid, [labels.dpojob]: name, [labels.attempt]: attempt } = metadata.labels ?? {};
  const controller = controllerOf(metadata);
  return controller?.kind === 'Job' && controller.name === `${name}-${attempt}` ? uid : undefined;
}

/** Under what the children of a DPOJob are found: one of another namespace is not its own, whatever UID stands on it. */
export const family = ({ namespace }: { namespace: string }, uid: string): string => `${namespace}/${uid}`;

export function familyOfPod(pod: StoredPod): string | undefined {
  const uid = dpojobOf(pod);
  return uid && family(pod.metadata, uid);
}

export function familyOfJob({ metadata }: StoredJob): string | undefined {
  const owner = controllerOf(metadata);
  return owner && family(metadata, owner.uid);
}
