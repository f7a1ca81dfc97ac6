import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import type { DPOJob, DPOJobSpecInput } from '../../crds/dpojob.ts';
import { packImage } from '../cluster/image-archive.ts';
import { untilKnown } from '../cluster/known.ts';
import { startCluster, type Cluster } from '../cluster/real-node.ts';
import { imageCommand } from '../integration/operator-process.ts';

/**
 * What a real kubelet, runtime and kernel say of a trainer that cannot start or is killed, in the words that the operator
 * makes of it: test/integration/causes.test.ts plays them. The image is a shell that does what the job's environment says.
 */
jest.setTimeout(240_000);
const image = 'docker.io/local/script:1';
let cluster: Cluster;
/** The folders of the claims, which are empty. */
let claims: string[];

const folder = mkdtempSync(join(tmpdir(), 'script-'));

function packScriptImage(): string {
  mkdirSync(join(folder, 'root', 'bin'), { recursive: true });
  for (const name of ['busybox', 'sh']) cpSync('/bin/busybox', join(folder, 'root', 'bin', name));
  const archive = join(folder, 'script.tar');
  const Entrypoint = ['/bin/sh', '-c', 'eval "$SCRIPT"'];
  packImage(join(folder, 'root'), archive, image, { Entrypoint, Env: ['PATH=/bin'], User: '65535:65535' });
  return archive;
}

beforeAll(async () => {
  cluster = await startCluster({ images: [packScriptImage()] });
  claims = ['models', 'data'].map((name) => cluster.claim(name));
  const apply = ['apply', '--server-side', '-f', 'crds/dpojob.yaml'];
  expect(cluster.kubectl(apply)).toMatchObject({ code: 0 });
  untilKnown(cluster, 'dpojobs');
  const environment = [`KUBECONFIG=${cluster.kubeconfig}`, `TRAINER_IMAGE=${image}`, 'METRICS_PORT=0', 'HEALTH_PORT=0'];
  cluster.start(['env', ...environment, ...imageCommand()], 'operator.log');
});
afterAll(async () => {
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const stored = (name: string): DPOJob | undefined => {
  const { code, output } = cluster.kubectl(['get', 'dpojob', name, '-o', 'json']);
  return code === 0 ? (JSON.parse(output) as DPOJob) : undefined;
};
const runs = (SCRIPT: string): DPOJobSpecInput['pod'] => ({
  imagePullPolicy: 'Never',
  env: [{ name: 'SCRIPT', value: SCRIPT }],
});
const said = JSON.stringify({ reason: 'InvalidData', message: 'line 7: no chosen answer' });

interface Case {
  name: string;
  changes: Partial<DPOJobSpecInput>;
  state: string;
  reason: string;
  words: RegExp;
}
const cases: Case[] = [
  {
    name: 'no-registry',
    changes: { pod: { image: 'registry.invalid/none:1' } },
    state: 'Starting',
    reason: 'ImagePullFailed',
    words: /the trainer's image cannot be pulled: .*registry\.invalid/,
  },
  {
    name: 'not-there',
    changes: { pod: { image: 'docker.io/local/none:1', imagePullPolicy: 'Never' } },
    state: 'Starting',
    reason: 'ImagePullFailed',
    words: /Container image "docker.io\/local\/none:1" is not present with pull policy of Never/,
  },
  {
    name: 'bad-name',
    changes: { pod: { image: 'Not:An:Image' } },
    state: 'Starting',
    reason: 'ImagePullFailed',
    words: /"Not:An:Image"/,
  },
  {
    name: 'no-secret',
    changes: { pod: { imagePullPolicy: 'Never', envFrom: [{ secretRef: { name: 'hub' } }] } },
    state: 'Starting',
    reason: 'SecretMissing',
    words: /secret "hub" not found/,
  },
  {
    name: 'no-key',
    changes: {
      pod: {
        imagePullPolicy: 'Never',
        env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'kube-root-ca.crt', key: 'a' } } }],
      },
    },
    state: 'Starting',
    reason: 'ConfigMapMissing',
    words: /couldn't find key a in ConfigMap default\/kube-root-ca\.crt/,
  },
  {
    name: 'no-pairs',
    changes: { pod: { imagePullPolicy: 'Never' }, dataset: { configMapRef: { name: 'pairs' } } },
    state: 'Starting',
    reason: 'ConfigMapMissing',
    words: /MountVolume\.SetUp failed for volume "dataset" : configmap "pairs" not found/,
  },
  {
    name: 'as-root',
    changes: { pod: { imagePullPolicy: 'Never', securityContext: { runAsUser: 0 } } },
    state: 'Starting',
    reason: 'ContainerNotCreated',
    words: /runAsUser breaks non-root policy/,
  },
  {
    name: 'hungry',
    changes: { pod: runs('exec busybox tail /dev/zero'), resources: { limits: { memory: '32Mi' } } },
    state: 'Failed',
    reason: 'OOMKilled',
    words: /the last failure: OOMKilled: killed at its memory limit of 32Mi: raise resources\.limits\.memory/,
  },
  {
    name: 'invalid',
    changes: { pod: runs(`echo '${said}' > /dev/termination-log; exit 65`) },
    state: 'Failed',
    reason: 'InvalidData',
    words: /line 7: no chosen answer/,
  },
  {
    name: 'killed',
    changes: { pod: runs('exit 139') },
    state: 'Failed',
    reason: 'Error',
    words: /the trainer crashed \(SIGSEGV\)/,
  },
];

test('what a real node says of each cause is told by kubectl in one word and in words', async () => {
  const { spec } = parse(readFileSync('crds/examples/quickstart.yaml', 'utf8')) as DPOJob;
  for (const { name, changes } of cases) {
    const job = { apiVersion: 'training.dpo-operator.io/v1alpha1', kind: 'DPOJob', metadata: { name } };
    const object = { ...job, spec: { ...spec, backoffLimit: 0, ...changes } };
    expect(cluster.kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(object))).toMatchObject({ code: 0 });
  }
  const told: object[] = [];
  for (const { name, reason } of cases) {
    const deadline = Date.now() + 60_000;
    while (stored(name)?.status?.reason !== reason && Date.now() < deadline) await sleep(500);
    const { state, reason: found, message = '' } = stored(name)?.status ?? {};
    told.push({ name, state, reason: found, message });
    const { output } = cluster.kubectl(['describe', 'dpojob', name]);
    expect(output.split('\nEvents:')[1]).toContain(reason);
  }
  expect(told).toEqual(
    cases.map(({ name, state, reason, words }) => ({ name, state, reason, message: expect.stringMatching(words) })),
  );
  // Nor does a kubelet make what a source names and is not there.
  expect(claims.map((folder) => readdirSync(folder).filter((name) => name !== '.dpo'))).toEqual([[], []]);
});
