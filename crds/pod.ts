import { z } from 'zod';
import { withRules, type Rule } from './rules.ts';

/**
 * `spec.pod`: the way out to the trainer's pod. Fields that Kubernetes defines itself are taken whole: their schema in
 * the CRD comes from the pinned Kubernetes OpenAPI document, named by `kubernetes` in `meta` (generate.ts replaces it).
 */
const kubernetes = (definition: string): z.ZodType<Record<string, unknown>> =>
  z.record(z.string(), z.unknown()).meta({ kubernetes: definition }) as unknown as z.ZodType<Record<string, unknown>>;
const listOf = (definition: string): z.ZodArray<z.ZodType<Record<string, unknown>>> =>
  z.array(kubernetes(definition)).max(64).meta({ 'x-kubernetes-list-type': 'atomic' });
const labels = z.record(z.string(), z.string().max(1024));

const podFields = z.object({
  image: z.string().min(1).max(1024).optional().describe("Trainer image; by default the operator's"),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
  imagePullSecrets: listOf('io.k8s.api.core.v1.LocalObjectReference').optional(),
  serviceAccountName: z.string().max(253).optional(),
  nodeSelector: labels.optional(),
  tolerations: listOf('io.k8s.api.core.v1.Toleration').optional(),
  affinity: kubernetes('io.k8s.api.core.v1.Affinity').optional(),
  topologySpreadConstraints: listOf('io.k8s.api.core.v1.TopologySpreadConstraint').optional(),
  priorityClassName: z.string().max(253).optional(),
  runtimeClassName: z.string().max(253).optional(),
  schedulerName: z.string().max(253).optional(),
  resourceClaims: listOf('io.k8s.api.core.v1.PodResourceClaim')
    .optional()
    .describe("Claims of dynamic resource allocation; the trainer's container gets them all"),
  env: listOf('io.k8s.api.core.v1.EnvVar').optional(),
  envFrom: listOf('io.k8s.api.core.v1.EnvFromSource').optional(),
  volumes: listOf('io.k8s.api.core.v1.Volume').optional().describe("Volumes beside those of the job's sources"),
  volumeMounts: listOf('io.k8s.api.core.v1.VolumeMount').optional().describe('Where the trainer sees pod.volumes'),
  securityContext: kubernetes('io.k8s.api.core.v1.PodSecurityContext').optional(),
  labels: labels.optional(),
  annotations: z.record(z.string(), z.string().max(65_536)).optional(),
});

/** Names of the operator's own volumes, and the folders in which it mounts things. */
const ownVolume = /^(claim-.*|run-config|scratch|dataset|sft-dataset)$/;
const ownFolder = /^\/(etc\/dpo|volumes|tmp)\/*$/;
const each = (list: Record<string, unknown>[] | undefined, key: string, holds: (value: string) => boolean): boolean =>
  (list ?? []).every((one) => holds(String(one[key])));

const rules: readonly Rule<z.output<typeof podFields>>[] = [
  {
    field: 'volumes',
    cel: `!has(self.volumes) || self.volumes.all(one, !one.name.matches('${ownVolume.source}'))`,
    holds: ({ volumes }) => each(volumes, 'name', (name) => !ownVolume.test(name)),
    message:
      "pod.volumes: names that begin with claim-, and run-config, scratch, dataset and sft-dataset are the operator's own: take another name",
  },
  {
    field: 'volumeMounts',
    cel: `!has(self.volumeMounts) || self.volumeMounts.all(one, !one.mountPath.matches('${ownFolder.source.replaceAll('\\/', '/')}'))`,
    holds: ({ volumeMounts }) => each(volumeMounts, 'mountPath', (path) => !ownFolder.test(path)),
    message:
      'pod.volumeMounts: /etc/dpo, /volumes and /tmp are mounted by the operator: take a folder within or beside them',
  },
];
export const podRules: readonly { message: string }[] = rules;

export const podSchema = withRules(podFields, rules);
export type PodSpec = z.infer<typeof podSchema>;
