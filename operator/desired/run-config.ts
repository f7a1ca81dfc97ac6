import type { V1ConfigMap } from '@kubernetes/client-node';
import type { DPOJob } from '../../crds/dpojob.ts';
import type { RunConfig } from '../../crds/run-config.ts';
import { childMetadata } from './naming.ts';

/** The immutable ConfigMap that holds job.json. The specification travels whole: no field is named here. */
export function runConfigMap(job: DPOJob, attempt: number): V1ConfigMap {
  const { namespace, name, uid, creationTimestamp: created } = job.metadata;
  const config: RunConfig = { namespace, name, uid, ...(created && { created }), attempt, spec: job.spec };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: childMetadata(job, attempt),
    immutable: true,
    data: { 'job.json': JSON.stringify(config) },
  };
}
