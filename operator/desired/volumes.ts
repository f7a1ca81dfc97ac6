import type { V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { DPOJob, DPOJobSpec } from '../../crds/dpojob.ts';
import { isEphemeral } from '../../crds/output.ts';
import { isClaim } from '../../crds/sources.ts';
import { configMapFolders, runConfigPath, scratchPath, volumesPath, workClaim } from '../../crds/run-config.ts';

interface Claim {
  claim: string;
  path: string;
}

/** `pvc://claim/some/path` as its parts; a path without leading or trailing slash, empty for the claim's root. */
export function parseClaimSource(source: string): Claim {
  const [claim = '', ...rest] = source.slice('pvc://'.length).split('/');
  return { claim, path: rest.filter((part) => part !== '').join('/') };
}

/** Every claim that the job reads; other sources are fetched by the trainer. */
function inputs(spec: DPOJobSpec): Claim[] {
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
  return sources.flatMap((source) => (source !== undefined && isClaim(source) ? [parseClaimSource(source)] : []));
}

const claimVolume = (claim: string): string => `claim-${claim.replaceAll('.', '-')}`.slice(0, 63).replace(/-+$/, '');

/** Claims that the trainer writes to: the model and the checkpoints, and the cache that jobs share. */
function outputs({ metadata, spec: { output, cache } }: DPOJob): string[] {
  const work = isClaim(output.source) ? parseClaimSource(output.source).claim : workClaim(metadata.name);
  return [...new Set([work, ...(cache === undefined ? [] : [parseClaimSource(cache.source).claim])])];
}

/** Volumes of the claims: one per claim however often it is used; an output's root is written, inputs are read-only. */
function claimVolumes(job: DPOJob): { volumes: V1Volume[]; volumeMounts: V1VolumeMount[] } {
  const written = outputs(job);
  const names = [...new Set([...written, ...inputs(job.spec).map(({ claim }) => claim)])];
  // Numbered where two long claim names would be cut to the same volume name.
  const volumeName = (claim: string): string => {
    const same = names.filter((name) => claimVolume(name) === claimVolume(claim));
    return same.length < 2 ? claimVolume(claim) : `claim-${names.indexOf(claim)}`;
  };
  const mounts = new Map<string, V1VolumeMount>();
  for (const claim of written) {
    const mountPath = `${volumesPath}/${claim}`;
    mounts.set(mountPath, { name: volumeName(claim), mountPath });
  }
  for (const { claim, path } of inputs(job.spec)) {
    const mountPath = [volumesPath, claim, path].filter((part) => part !== '').join('/');
    const subPath = path === '' ? {} : { subPath: path };
    if (!mounts.has(mountPath)) {
      mounts.set(mountPath, { name: volumeName(claim), mountPath, ...subPath, readOnly: true });
    }
  }
  const onNode = isEphemeral(job.spec) ? workClaim(job.metadata.name) : undefined;
  const volumes = names.map((claimName) => ({
    name: volumeName(claimName),
    ...(claimName === onNode
      ? { emptyDir: { sizeLimit: job.spec.checkpoint.volume?.size as string } }
      : { persistentVolumeClaim: { claimName } }),
  }));
  return { volumes, volumeMounts: [...mounts.values()] };
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
