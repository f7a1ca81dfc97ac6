import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { permanentExitCodes } from '../../../crds/exit-codes.ts';
import { podSchema } from '../../../crds/pod.ts';
import { runConfigSchema } from '../../../crds/run-config.ts';
import { runConfigMap } from '../../../operator/desired/run-config.ts';
import { imageStatus, trainerImage, trainerJob } from '../../../operator/desired/trainer-job.ts';
import { podVolumes } from '../../../operator/desired/volumes.ts';
import { jobsOwnClaim } from '../../../operator/desired/work-claim.ts';
import { everything } from '../everything.ts';
import { aJob, images } from '../observed.ts';

/** Compares with a golden file; `UPDATE_GOLDEN=1` rewrites it, to be read in review. */
function golden(name: string, object: unknown): void {
  const file = new URL(`../../golden/objects/${name}.yaml`, import.meta.url);
  if (process.env['UPDATE_GOLDEN'] === '1') {
    writeFileSync(file, stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }));
  }
  expect(existsSync(file)).toBe(true);
  expect(JSON.parse(JSON.stringify(object))).toEqual(parse(readFileSync(file, 'utf8')));
}

describe('objects of an attempt', () => {
  test('the quickstart example: ConfigMap and Job', () => {
    golden('quickstart-configmap', runConfigMap(aJob(), 1));
    golden('quickstart-job', trainerJob(aJob(), 1, images));
  });

  test('every field of spec.pod is in the golden file that has everything', () => {
    expect(Object.keys(everything.pod ?? {}).toSorted()).toEqual(Object.keys(podSchema.shape).toSorted());
  });

  test('every field of spec.pod, an accelerator by a claim, extended resources and a queue', () => {
    const job = aJob(everything);
    job.metadata.labels = { 'kueue.x-k8s.io/queue-name': 'main', private: 'stays' };
    golden('everything-job', trainerJob(job, 3, images));
  });

  test('job.json is what the trainer parses', () => {
    const config = runConfigSchema.parse(JSON.parse(runConfigMap(aJob(), 2).data?.['job.json'] ?? ''));
    const created = '2026-01-01T00:00:00.000Z';
    const spec = aJob().spec;
    expect(config).toEqual({ namespace: 'team', name: 'quickstart', uid: 'job-uid', created, attempt: 2, spec });
  });

  test('permanent exit codes fail the Job', () => {
    const rules = trainerJob(aJob(), 1, images).spec?.podFailurePolicy?.rules;
    expect(rules?.[0]).toMatchObject({ action: 'FailJob', onExitCodes: { values: [...permanentExitCodes] } });
  });

  test.each([
    [{ accelerator: { count: 0 } }, 'trainer:test'],
    [{ accelerator: { count: 1 } }, 'trainer-gpu:test'],
    [{ accelerator: { count: 1 }, pod: { image: 'mine:1' } }, 'mine:1'],
  ])('the image of %j is %s', (changes, image) => {
    expect(trainerImage(aJob(changes), images)).toBe(image);
  });

  test('an attempt after the operator was upgraded keeps the image that the job began with, unless it names one', () => {
    const began = (changes = {}) => ({ ...aJob(changes), status: { defaultImage: 'trainer:old' } });
    expect(trainerImage(began(), images)).toBe('trainer:old');
    expect(imageStatus(began(), images)).toEqual({ image: 'trainer:old', defaultImage: 'trainer:old' });
    const own = began({ pod: { image: 'mine:1' } });
    // One that the job names is not kept when it names it no longer.
    expect(imageStatus(own, images)).toEqual({ image: 'mine:1' });
    expect(imageStatus(aJob(), images)).toMatchObject({ defaultImage: trainerImage(aJob(), images) });
  });

  test('sources that are not on a claim make no volume, and their Secrets become environment', () => {
    const { spec } = trainerJob(
      aJob({
        model: {
          source: 'hf://org/name',
          adapter: { source: 'pvc://adapters/a', secretRef: { name: 'theirs' } },
          secretRef: { name: 'hub' },
        },
        training: { lora: {} },
        reference: { source: 'pvc://judges/large', secretRef: { name: 'mine' } },
        dataset: {
          sources: [{ source: 's3://bucket/d.jsonl' }, { source: 'pvc://more/d.jsonl' }],
          evalSource: 'https://host/e.jsonl',
          secretRef: { name: 's3' },
        },
        sft: { dataset: { source: 'pvc://data/sft.jsonl', secretRef: { name: 'hub' } } },
      }),
      1,
      images,
    ).spec?.template ?? { spec: undefined };
    // Each under its own prefix, so that no source's credentials are sent to the server of another.
    expect(spec?.containers[0]?.envFrom).toEqual([
      { prefix: 'MODEL_', secretRef: { name: 'hub' } },
      { prefix: 'ADAPTER_', secretRef: { name: 'theirs' } },
      { prefix: 'REFERENCE_', secretRef: { name: 'mine' } },
      { prefix: 'DATASET_', secretRef: { name: 's3' } },
      { prefix: 'SFT_', secretRef: { name: 'hub' } },
    ]);
    const claims = spec?.volumes?.flatMap((volume) => volume.persistentVolumeClaim?.claimName ?? []);
    expect(claims?.toSorted()).toEqual(['adapters', 'data', 'judges', 'models', 'more']);
  });

  test('a claim is seen whole, and read-only unless the output or the cache is on it', () => {
    const job = aJob({
      model: { source: 'pvc://shared/m' },
      output: { source: 'pvc://mine/out' },
      cache: { source: 'pvc://shared/cache' },
    });
    const mounts = podVolumes(job, 'c').volumeMounts.filter(({ mountPath }) => /shared|mine/.test(mountPath));
    expect(mounts).toEqual([
      { name: 'claim-mine', mountPath: '/volumes/mine' },
      { name: 'claim-shared', mountPath: '/volumes/shared' },
    ]);
    const data = podVolumes(job, 'c').volumeMounts.filter(({ mountPath }) => mountPath.includes('data'));
    expect(data).toEqual([{ name: 'claim-data', mountPath: '/volumes/data', readOnly: true }]);
  });

  test('a job whose output is pushed has a claim of its own, and the Secret of the output by its prefix', () => {
    const volume = { size: '8Gi', storageClassName: 'fast', accessMode: 'ReadWriteOncePod' } as const;
    const job = aJob({
      output: { source: 's3://bucket/models/mine', secretRef: { name: 'keys' } },
      checkpoint: { volume },
    });
    golden('pushed-claim', jobsOwnClaim(job));
    const { spec } = trainerJob(job, 2, images).spec?.template ?? { spec: undefined };
    const own = { name: 'claim-quickstart-work', persistentVolumeClaim: { claimName: 'quickstart-work' } };
    expect(spec?.volumes).toContainEqual(own);
    const mount = { name: own.name, mountPath: '/volumes/quickstart-work' };
    expect(spec?.containers[0]?.volumeMounts).toContainEqual(mount);
    expect(spec?.containers[0]?.envFrom).toEqual([{ prefix: 'OUTPUT_', secretRef: { name: 'keys' } }]);
  });

  test('its size is 50Gi of the default class where the job says nothing; an output on a claim needs none', () => {
    const pushed = jobsOwnClaim(aJob({ output: { source: 'hf://org/mine@trained' } }));
    const requests = { storage: '50Gi' };
    expect(pushed?.spec).toEqual({ accessModes: ['ReadWriteOnce'], resources: { requests } });
    expect(jobsOwnClaim(aJob())).toBeUndefined();
  });

  test('an ephemeral volume lies on the node of the pod, as large as the job says, and makes no claim', () => {
    const volume = { type: 'Ephemeral', size: '8Gi' } as const;
    const job = aJob({ output: { source: 'hf://org/mine' }, checkpoint: { volume } });
    expect(jobsOwnClaim(job)).toBeUndefined();
    const { volumes, volumeMounts } = podVolumes(job, 'c');
    expect(volumes).toContainEqual({ name: 'claim-quickstart-work', emptyDir: { sizeLimit: '8Gi' } });
    expect(volumes.map((one) => one.persistentVolumeClaim?.claimName)).not.toContain('quickstart-work');
    expect(volumeMounts).toContainEqual({ name: 'claim-quickstart-work', mountPath: '/volumes/quickstart-work' });
  });

  test('a claim used more than once is one volume, and no two volumes share a name', () => {
    const source = (claim: string, path: string): { source: string } => ({ source: `pvc://${claim}/${path}` });
    const job = aJob({
      model: source('a.b', 'in'),
      dataset: source('a-b', 'x.jsonl'),
      output: source('a.b', 'out'),
    });
    const { volumes } = podVolumes(job, 'c');
    const claims = volumes.flatMap((volume) => volume.persistentVolumeClaim?.claimName ?? []);
    expect(claims.toSorted()).toEqual(['a-b', 'a.b', 'data']);
    expect(new Set(volumes.map(({ name }) => name)).size).toBe(volumes.length);
  });
});
