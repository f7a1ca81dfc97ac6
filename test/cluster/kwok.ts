import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, type ControlPlane } from './control-plane.ts';
import { kwokPath } from './install.ts';

/** kwok plays the nodes of a control plane: no container runs, but pods are scheduled, run and succeed as real ones do. */
const stages = join(import.meta.dirname, 'kwok', 'stages.yaml');

/** The nodes, and what becomes of their pods. */
export interface KwokNodes {
  count: number;
  /** What each has, besides much processor and memory. */
  room: Readonly<Record<string, string>>;
  /** Seconds that a pod runs; none if undefined. */
  podSeconds?: number;
  /** Where pods get their addresses. */
  cidr?: string;
}

/** The stages, with pods that run for a while. */
function stagesFile(plane: ControlPlane, podSeconds = 0): string {
  const file = join(plane.folder, 'kwok-stages.yaml');
  const [before = '', after = ''] = readFileSync(stages, 'utf8').split('  name: pod-complete\n');
  const delay = `  delay:\n    durationMilliseconds: ${podSeconds * 1000}\n`;
  writeFileSync(file, `${before}  name: pod-complete\n${after.replace('  next:\n', `${delay}  next:\n`)}`);
  return file;
}

function fakeNode(name: string, room: KwokNodes['room']): object {
  const size = { cpu: '32', memory: '256Gi', pods: '110', ...room };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name }, annotations: { 'kwok.x-k8s.io/node': 'fake' } },
    status: { allocatable: size, capacity: size },
  };
}

/** Starts kwok with its nodes, and waits until they are Ready. Returns what ends it. */
export async function startKwok(plane: ControlPlane, nodes: KwokNodes): Promise<() => void> {
  const kwok = kwokPath();
  if (!existsSync(kwok)) throw new Error("kwok is not built: run 'sh scripts/node scripts/setup.ts integration'");
  const [port = 0] = await freePorts(1);
  const log = openSync(join(plane.folder, 'kwok.log'), 'a');
  const child = spawn(
    kwok,
    [
      `--kubeconfig=${plane.kubeconfig}`,
      '--manage-all-nodes=true',
      '--node-lease-duration-seconds=40',
      `--config=${stagesFile(plane, nodes.podSeconds)}`,
      ...(nodes.cidr === undefined ? [] : [`--cidr=${nodes.cidr}`]),
      `--server-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', log, log] },
  );
  const stop = (): void => void child.kill('SIGKILL');
  process.once('exit', stop);
  const items = Array.from({ length: nodes.count }, (_, i) => fakeNode(`fake-${i}`, nodes.room));
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  for (const [args, input] of [
    [['apply', '--server-side', '-f', '-'], list],
    [['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=60s'], ''],
  ] as [string[], string][]) {
    const { code, output } = plane.kubectl(args, input);
    if (code !== 0) throw new Error(`kwok: ${output}`);
  }
  return stop;
}
