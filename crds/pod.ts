import { z } from 'zod';

/**
 * `spec.pod`: the way out to the trainer's pod. Fields that Kubernetes defines itself are taken whole: their schema in
 * the CRD comes from the pinned Kubernetes OpenAPI document, named by `kubernetes` in `meta` (generate.ts replaces it).
 */
const kubernetes = (definition: string): z.ZodType<Record<string, unknown>> =>
  z.record(z.string(), z.unknown()).meta({ kubernetes: definition }) as unknown as z.ZodType<Record<string, unknown>>;
const listOf = (definition: string): z.ZodArray<z.ZodType<Record<string, unknown>>> =>
  z.array(kubernetes(definition)).max(64).meta({ 'x-kubernetes-list-type': 'atomic' });
const labels = z.record(z.string(), z.string().max(1024));

export const podSchema = z.object({
  image: z.string().min(1).max(1024).optional().describe("Trainer image; by default the operator's"),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
  imagePullSecrets: listOf('io.k8s.api.core.v1.LocalObjectReference').optional(),
  serviceAccountName: z.string().max(253).optional(),
  nodeSelector: labels.optional(),
  tolerations: listOf('io.k8s.api.core.v1.Toleration').optional(),
  affinity: kubernetes('io.k8s.api.core.v1.Affinity').optional(),
  priorityClassName: z.string().max(253).optional(),
  runtimeClassName: z.string().max(253).optional(),
  schedulerName: z.string().max(253).optional(),
  env: listOf('io.k8s.api.core.v1.EnvVar').optional(),
  securityContext: kubernetes('io.k8s.api.core.v1.PodSecurityContext').optional(),
  labels: labels.optional(),
  annotations: z.record(z.string(), z.string().max(65_536)).optional(),
});
export type PodSpec = z.infer<typeof podSchema>;
