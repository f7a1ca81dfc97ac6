import type { V1Container, V1Job, V1PodSpec, V1ResourceRequirements, V1VolumeMount } from '@kubernetes/client-node';
import type { DPOJob, DPOJobSpec } from '../../crds/dpojob.ts';
import { copiedLabels } from '../../crds/labels.ts';
import {
  environment,
  runConfigPath,
  secretPrefixes,
  trainerPort,
  trainerPortName,
  volumesPath,
} from '../../crds/run-config.ts';
import { podFailurePolicy, trainerContainer } from './failure-policy.ts';
import { childLabels, childMetadata, childName } from './naming.ts';
import { podVolumes } from './volumes.ts';

/** The trainer images that the operator was installed with. */
export interface TrainerImages {
  trainer: string;
  gpu: string;
}

/**
 * The image of a job: its own, else the one that it began with, else that for what it trains on. A checkpoint belongs to the
 * trainer that wrote it: an operator that was upgraded meanwhile goes on with the same.
 */
export function trainerImage({ spec, status }: Pick<DPOJob, 'spec' | 'status'>, images: TrainerImages): string {
  return spec.pod.image ?? status?.defaultImage ?? (spec.accelerator.count > 0 ? images.gpu : images.trainer);
}

/** What status tells of the image of an attempt that is to be made. */
export function imageStatus(job: Pick<DPOJob, 'spec' | 'status'>, images: TrainerImages) {
  const image = trainerImage(job, images);
  return { image, ...(job.spec.pod.image === undefined ? { defaultImage: image } : {}) };
}

/**
 * The batch/v1 Job of an attempt. Made once and never applied again: its template is immutable, and a newer operator
 * must not touch a running job. Deadlines and TTL are not copied: the operator enforces them, since a Job's clock
 * restarts with each attempt.
 */
export function trainerJob(job: DPOJob, attempt: number, images: TrainerImages): V1Job {
  const copied = Object.entries(job.metadata.labels ?? {}).filter(([key]) =>
    (copiedLabels as readonly string[]).includes(key),
  );
  const { pod } = job.spec;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: childMetadata(job, attempt, Object.fromEntries(copied)),
    spec: {
      backoffLimit: job.spec.backoffLimit,
      podReplacementPolicy: 'Failed',
      podFailurePolicy: podFailurePolicy(),
      template: {
        metadata: {
          labels: { ...pod.labels, ...childLabels(job, attempt) },
          ...(pod.annotations === undefined ? {} : { annotations: pod.annotations }),
        },
        spec: podSpec(job, attempt, images),
      },
    },
  };
}

const passedOn = [
  'imagePullSecrets',
  'serviceAccountName',
  'nodeSelector',
  'tolerations',
  'affinity',
  'topologySpreadConstraints',
  'resourceClaims',
  'priorityClassName',
  'runtimeClassName',
  'schedulerName',
] as const;

function podSpec(job: DPOJob, attempt: number, images: TrainerImages): V1PodSpec {
  const { spec } = job;
  const { volumes, volumeMounts } = podVolumes(job, childName(job, attempt));
  const given = passedOn.filter((key) => spec.pod[key] !== undefined).map((key) => [key, spec.pod[key]] as const);
  return {
    ...(Object.fromEntries(given) as Partial<V1PodSpec>),
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: spec.checkpoint.gracePeriodSeconds,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      fsGroup: 1000,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
      ...spec.pod.securityContext,
    },
    containers: [container(job, images, volumeMounts)],
    volumes,
  };
}

function container(job: DPOJob, images: TrainerImages, volumeMounts: V1VolumeMount[]): V1Container {
  const { spec } = job;
  const fieldRef = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const envFrom = [...((spec.pod.envFrom ?? []) as NonNullable<V1Container['envFrom']>), ...secrets(spec)];
  return {
    name: trainerContainer,
    image: trainerImage(job, images),
    ...(spec.pod.imagePullPolicy === undefined ? {} : { imagePullPolicy: spec.pod.imagePullPolicy }),
    args: ['--run-config', runConfigPath, '--volumes', volumesPath],
    env: [
      ...((spec.pod.env ?? []) as object[]),
      // Last, so that the user's cannot replace them.
      fieldRef(environment.podUID, 'metadata.uid'),
      fieldRef(environment.podName, 'metadata.name'),
    ] as NonNullable<V1Container['env']>,
    ...(envFrom.length === 0 ? {} : { envFrom }),
    ports: [{ name: trainerPortName, containerPort: trainerPort }],
    resources: resources(spec),
    volumeMounts,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
}

/** Secrets of the sources, as environment, each with a prefix of its own. */
function secrets({ dataset, sft, reference, model, output }: DPOJobSpec): NonNullable<V1Container['envFrom']> {
  const refs = {
    model: model.secretRef,
    adapter: model.adapter?.secretRef,
    reference: reference.secretRef,
    dataset: dataset.secretRef,
    sft: sft?.dataset?.secretRef,
    output: output.secretRef,
  };
  return (Object.keys(secretPrefixes) as (keyof typeof secretPrefixes)[]).flatMap((key) => {
    const name = refs[key]?.name;
    return name === undefined ? [] : [{ prefix: secretPrefixes[key], secretRef: { name } }];
  });
}

/** The job's resources, its accelerator among the limits or the claims, of which the container gets all. */
function resources(spec: DPOJobSpec): V1ResourceRequirements {
  const quantities = (given: Record<string, string | number> = {}): [string, string][] =>
    Object.entries(given).map(([name, quantity]) => [name, String(quantity)]);
  const { resource, count, resourceClaim } = spec.accelerator;
  const asked = count > 0 && resourceClaim === undefined ? [[resource, String(count)]] : [];
  const limits = [...quantities(spec.resources.limits), ...asked];
  const claims = spec.pod.resourceClaims?.map(({ name }) => ({ name: String(name) })) ?? [];
  const requests = quantities(spec.resources.requests);
  return {
    ...(limits.length > 0 ? { limits: Object.fromEntries(limits) as Record<string, string> } : {}),
    ...(requests.length > 0 ? { requests: Object.fromEntries(requests) } : {}),
    ...(claims.length > 0 ? { claims } : {}),
  };
}
