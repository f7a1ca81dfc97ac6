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
  return {
    name: childName(job, attempt),
    namespace: job.metadata.namespace,
    labels: { ...extra, ...childLabels(job, attempt) },
    ownerReferences: [
      { apiVersion, kind, name: job.metadata.name, uid: job.metadata.uid, controller: true, blockOwnerDeletion: true },
    ],
  };
}

export function childLabels(job: DPOJob, attempt: number): Record<string, string> {
  const { name, uid } = job.metadata;
  return {
    [labels.managedBy]: manager,
    [labels.dpojob]: name,
    [labels.uid]: uid,
    [labels.attempt]: String(attempt),
  };
}
