import type { V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { DPOJob, DPOJobSpec } from '../../crds/dpojob.ts';
import { isEphemeral } from '../../crds/output.ts';
import { claimOf, isClaim } from '../../crds/sources.ts';
import { configMapFolders, runConfigPath, scratchPath, volumesPath, workClaim } from '../../crds/run-config.ts';

/** Every claim that the job reads; other sources are fetched by the trainer. */
function inputs(spec: DPOJobSpec): string[] {
  const mixed = spec.dataset.sources?.map(({ source }) => source) ?? [];
  const sources = [
    spec.model.source,
    spec.model.adapter?.source,
    spec.reference.source,
    spec.dataset.source,
    ...mixed,
    spec.dataset.evalSource,
    spec.sft?.dataset?.source,
  ];
  return sources.flatMap((source) => (source !== undefined && isClaim(source) ? [claimOf(source).claim] : []));
}

const claimVolume = (claim: string): string => `claim-${claim.replaceAll('.', '-')}`.slice(0, 63).replace(/-+$/, '');

/** Claims that the trainer writes to: the model and the checkpoints, and the cache that jobs share. */
function outputs({ metadata, spec: { output, cache } }: DPOJob): string[] {
  const work = isClaim(output.source) ? claimOf(output.source).claim : workClaim(metadata.name);
  return [...new Set([work, ...(cache === undefined ? [] : [claimOf(cache.source).claim])])];
}

/**
 * Volumes of the claims: one per claim however often it is used, seen whole, and read-only unless something is written to it.
 * Never by subPath: a kubelet makes the folder that a mistyped one names, on the user's claim.
 */
function claimVolumes(job: DPOJob): { volumes: V1Volume[]; volumeMounts: V1VolumeMount[] } {
  const written = outputs(job);
  const names = [...new Set([...written, ...inputs(job.spec)])];
  // Numbered where two long claim names would be cut to the same volume name.
  const volumeName = (claim: string): string => {
    const same = names.filter((name) => claimVolume(name) === claimVolume(claim));
    return same.length < 2 ? claimVolume(claim) : `claim-${names.indexOf(claim)}`;
  };
  const volumeMounts = names.map((claim) => ({
    name: volumeName(claim),
    mountPath: `${volumesPath}/${claim}`,
    ...(written.includes(claim) ? {} : { readOnly: true }),
  }));
  const onNode = isEphemeral(job.spec) ? workClaim(job.metadata.name) : undefined;
  const volumes = names.map((claimName) => ({
    name: volumeName(claimName),
    ...(claimName === onNode
      ? { emptyDir: { sizeLimit: job.spec.checkpoint.volume?.size as string } }
      : { persistentVolumeClaim: { claimName } }),
  }));
  return { volumes, volumeMounts };
}

/** A data set in a ConfigMap, mounted as one read-only folder. */
function configMapVolume(
  name: keyof typeof configMapFolders,
  ref: { name: string } | undefined,
): { volumes: V1Volume[]; volumeMounts: V1VolumeMount[] } {
  return ref === undefined
    ? { volumes: [], volumeMounts: [] }
    : {
        volumes: [{ name, configMap: { name: ref.name } }],
        volumeMounts: [{ name, mountPath: configMapFolders[name], readOnly: true }],
      };
}

/** All volumes of the trainer's pod and where its container sees them. `configMap` names the one with job.json. */
export function podVolumes(job: DPOJob, configMap: string): { volumes: V1Volume[]; volumeMounts: V1VolumeMount[] } {
  const { dataset, sft, pod } = job.spec;
  const parts = [
    claimVolumes(job),
    configMapVolume('dataset', dataset.configMapRef),
    configMapVolume('sft-dataset', sft?.dataset?.configMapRef),
    {
      volumes: [
        { name: 'run-config', configMap: { name: configMap } },
        { name: 'scratch', emptyDir: {} },
      ],
      volumeMounts: [
        { name: 'run-config', mountPath: runConfigPath, subPath: 'job.json', readOnly: true },
        { name: 'scratch', mountPath: scratchPath },
      ],
    },
    {
      volumes: (pod.volumes ?? []) as unknown as V1Volume[],
      volumeMounts: (pod.volumeMounts ?? []) as unknown as V1VolumeMount[],
    },
  ];
  return {
    volumes: parts.flatMap(({ volumes }) => volumes),
    volumeMounts: parts.flatMap(({ volumeMounts }) => volumeMounts),
  };
}
