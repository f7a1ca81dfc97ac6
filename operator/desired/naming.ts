import type { V1ObjectMeta } from '@kubernetes/client-node';
import { apiVersion, kind } from '../../crds/dpojob.ts';
import type { DPOJob } from '../../crds/dpojob.ts';
import { labels, manager } from '../../crds/labels.ts';

/** Name of the ConfigMap and Job of an attempt: deterministic, so that a second creation is refused by the API server. */
export function childName(job: DPOJob, attempt: number): string {
  return `${job.metadata.name}-${attempt}`;
}

/** Metadata of a child: named by the attempt, labelled, and owned by the DPOJob, so that it goes with it. */
export function childMetadata(job: DPOJob, attempt: number, extra: Record<string, string> = {}): V1ObjectMeta {
  return owned(job, childName(job, attempt), { ...extra, ...childLabels(job, attempt) });
}

/** Metadata of what a DPOJob has over all its attempts: labelled and owned by it. */
export function owned({ metadata }: DPOJob, name: string, labelled = jobLabels(metadata)): V1ObjectMeta {
  return {
    name,
    namespace: metadata.namespace,
    labels: labelled,
    ownerReferences: [
      { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true },
    ],
  };
}

export function childLabels(job: DPOJob, attempt: number): Record<string, string> {
  return { ...jobLabels(job.metadata), [labels.attempt]: String(attempt) };
}

const jobLabels = ({ name, uid }: DPOJob['metadata']): Record<string, string> => ({
  [labels.managedBy]: manager,
  [labels.dpojob]: name,
  [labels.uid]: uid,
});
