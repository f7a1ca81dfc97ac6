import type { V1PersistentVolumeClaim } from '@kubernetes/client-node';
import type { DPOJob } from '../../crds/dpojob.ts';
import { isEphemeral, workVolumeSchema } from '../../crds/output.ts';
import { workClaim } from '../../crds/run-config.ts';
import { isClaim } from '../../crds/sources.ts';
import { owned } from './naming.ts';

/**
 * The claim of a job whose output is pushed: checkpoints, what is fetched, and the model before it is pushed lie there over
 * all attempts. It goes with the DPOJob. Undefined where the output is a claim, which holds them, or
 * where they lie on the pod's node.
 */
export function jobsOwnClaim(job: DPOJob): V1PersistentVolumeClaim | undefined {
  const { output, checkpoint } = job.spec;
  if (isClaim(output.source) || isEphemeral(job.spec)) return undefined;
  const { size, storageClassName, accessMode } = checkpoint.volume ?? workVolumeSchema.parse({});
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: owned(job, workClaim(job.metadata.name)),
    spec: {
      accessModes: [accessMode],
      resources: { requests: { storage: size } },
      ...(storageClassName === undefined ? {} : { storageClassName }),
    },
  };
}
