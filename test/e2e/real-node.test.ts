import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { shellImage } from '../cluster/node-config.ts';
import { startCluster, type Cluster } from '../cluster/real-node.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
  // Pods are refused until the controller-manager has made their service account.
  while (cluster.kubectl(['get', 'serviceaccount', 'default']).code !== 0) await sleep(100);
}, 180_000);
afterAll(() => cluster?.stop());

interface Shell {
  limits?: Record<string, number>;
  claim?: string;
}

function runPod(name: string, script: string, { limits = {}, claim }: Shell = {}): void {
  const mounts = claim ? [{ name: claim, mountPath: '/data' }] : [];
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
      securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 },
      volumes: claim ? [{ name: claim, persistentVolumeClaim: { claimName: claim } }] : [],
      containers: [
        {
          name: 'shell',
          image: shellImage,
          imagePullPolicy: 'Never',
          command: ['/bin/sh', '-c', script],
          volumeMounts: mounts,
          resources: { limits },
        },
      ],
    },
  };
  const { code, output } = cluster.kubectl(['apply', '-f', '-'], JSON.stringify(pod));
  if (code !== 0) throw new Error(output);
}

const get = (pod: string, path: string): string =>
  cluster.kubectl(['get', 'pod', pod, '-o', `jsonpath={${path}}`]).output;

async function reaches(pod: string, phase: string): Promise<void> {
  while (get(pod, '.status.phase') !== phase) await sleep(200);
}

test('a container runs as its user and its log can be read', async () => {
  runPod('log', 'busybox id -u');
  await reaches('log', 'Succeeded');
  expect(cluster.kubectl(['logs', 'log']).output).toBe('1000\n');
}, 60_000);

test('an exit code and a termination message arrive in the status', async () => {
  runPod('exit', 'echo saved > /dev/termination-log; exit 75');
  await reaches('exit', 'Failed');
  expect(JSON.parse(get('exit', '.status.containerStatuses[0].state.terminated'))).toMatchObject({
    exitCode: 75,
    message: 'saved\n',
  });
}, 60_000);

test('a claim keeps what a container wrote as user 1000', async () => {
  const folder = cluster.claim('models');
  runPod('writer', 'echo weights > /data/file', { claim: 'models' });
  await reaches('writer', 'Succeeded');
  expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('weights\n');
  expect(statSync(join(folder, 'file')).uid).toBe(1000);
}, 60_000);

test('a pod that asks for a GPU waits, and runs once the node has one', async () => {
  runPod('gpu', 'true', { limits: { 'nvidia.com/gpu': 1 } });
  const why = '.status.conditions[?(@.type=="PodScheduled")].message';
  while (get('gpu', why) === '') await sleep(100);
  expect(get('gpu', why)).toContain('Insufficient nvidia.com/gpu');
  cluster.fakeGpus(1);
  await reaches('gpu', 'Succeeded');
}, 60_000);
