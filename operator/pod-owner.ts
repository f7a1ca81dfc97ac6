import { labels } from '../crds/labels.ts';
import type { StoredPod } from './keep.ts';

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
