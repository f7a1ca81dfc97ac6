import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packImage } from './image-archive.ts';
import { helmPath, kubeallPath } from './install.ts';
import { pauseImage, shellImage } from './node-config.ts';

/** A real cluster: control plane, containerd, kubelet and kube-proxy in private namespaces; pods are real containers. */
export interface Cluster {
  kubectl(args: readonly string[], input?: string): { code: number; output: string };
  helm(args: readonly string[]): { code: number; output: string };
  /** Runs a command beside the node's programs: in its network, with its view of files. */
  run(command: readonly string[], input?: string): { code: number; output: string };
  /** Starts a command there; it ends with the cluster at the latest. */
  start(command: readonly string[], log: string): ChildProcess;
  /** What `run` puts before a command, for people who want to look around. */
  readonly enter: readonly string[];
  readonly kubeconfig: string;
  /** Folder of the cluster's files; it goes with the cluster. */
  readonly folder: string;
  /** Makes a claim, bound to a new folder that user and group 1000 own; returns the folder. */
  claim(name: string): string;
  /** The node says that it has that many GPUs; nothing stands behind them. */
  fakeGpus(count: number): void;
  stop(): Promise<void>;
}

/** Sysctls that a kubelet sets for the whole machine. */
const sysctls = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops'].map((name) => `/proc/sys/${name}`);

/** Programs that pods of the node need, with their Debian packages. */
export const nodePrograms = {
  containerd: 'containerd',
  runc: 'runc',
  '/usr/lib/cni/bridge': 'containernetworking-plugins',
  iptables: 'iptables',
  busybox: 'busybox-static',
  ip: 'iproute2',
};

function packBaseImages(folder: string): string[] {
  const root = join(folder, 'busybox');
  mkdirSync(join(root, 'bin'), { recursive: true });
  cpSync('/bin/busybox', join(root, 'bin', 'busybox'));
  cpSync('/bin/busybox', join(root, 'bin', 'sh'));
  const images = { [pauseImage]: ['/bin/busybox', 'sleep', '2147483647'], [shellImage]: ['/bin/sh'] };
  return Object.entries(images).map(([name, Entrypoint], index) => {
    const archive = join(folder, `${index}.tar`);
    packImage(root, archive, name, { Entrypoint, Env: ['PATH=/bin'], User: '65535:65535' });
    return archive;
  });
}

/** The line that inside.ts prints when all is up; throws with its errors when it ends before. */
async function firstLine(child: ChildProcess): Promise<string> {
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  for await (const line of createInterface({ input: child.stdout! })) return line;
  throw new Error(`the cluster did not come up:\n${errors}`);
}

/** Brings a cluster of one node up; `images` are docker archives for it. Linux and root only. */
export async function startCluster({ images = [] }: { images?: readonly string[] } = {}): Promise<Cluster> {
  const saved = sysctls.map((file) => readFileSync(file, 'utf8'));
  const folder = mkdtempSync(join(tmpdir(), 'node-'));
  const namespaces = ['--net', '--mount', '--pid', '--uts', '--fork', '--kill-child', '--mount-proc'];
  const inside = [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'inside.ts')];
  const command = [...namespaces, ...inside, folder, ...packBaseImages(folder), ...images];
  const child = spawn('unshare', command, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  process.once('exit', () => child.kill('SIGKILL'));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    sysctls.forEach((file, index) => writeFileSync(file, saved[index] ?? ''));
    removeCgroups();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  };
  try {
    const { kubeconfig } = JSON.parse(await firstLine(child)) as { kubeconfig: string };
    return { ...faces(folder, firstProcess(child), kubeconfig), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The namespaces' first process as this machine numbers it: unshare's only child. */
function firstProcess(unshare: ChildProcess): string {
  return readFileSync(`/proc/${unshare.pid}/task/${unshare.pid}/children`, 'utf8').trim();
}

function faces(folder: string, pid: string, kubeconfig: string): Omit<Cluster, 'stop'> {
  const enter = ['nsenter', '-t', pid, '-n', '-m', '-p', '-u', `--wd=${process.cwd()}`];
  const helmFolders = { HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder };
  const env = { ...process.env, ...helmFolders, KUBECACHEDIR: join(folder, 'kubectl') };
  const run: Cluster['run'] = (command, input = '') => {
    const [program = '', ...args] = [...enter, ...command];
    const { status, stdout, stderr } = spawnSync(program, args, { input, env, encoding: 'utf8', maxBuffer: 1 << 28 });
    return { code: status ?? 1, output: stdout + stderr };
  };
  const start: Cluster['start'] = (command, log) => {
    const [program = '', ...args] = [...enter, ...command];
    const output = openSync(join(folder, log), 'a');
    return spawn(program, args, { env, stdio: ['ignore', output, output] });
  };
  const kubectl: Cluster['kubectl'] = (args, input) =>
    run([kubeallPath(), 'kubectl', `--kubeconfig=${kubeconfig}`, ...args], input);
  const helm: Cluster['helm'] = (args) => run([helmPath(), `--kubeconfig=${kubeconfig}`, ...args]);
  const must = (args: string[], input?: string): void => {
    const { code, output } = kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${output}`);
  };
  const claim = (name: string): string => {
    const path = join(folder, 'volumes', name);
    mkdirSync(path, { recursive: true });
    chownSync(path, 1000, 1000);
    must(['apply', '-f', '-'], volumeOf(name, path));
    return path;
  };
  const fakeGpus = (count: number): void => {
    const at = (field: string): object => ({ op: 'add', path: `/status/${field}/nvidia.com~1gpu`, value: `${count}` });
    const patch = JSON.stringify([at('capacity'), at('allocatable')]);
    must(['patch', 'node', 'node1', '--subresource=status', '--type=json', '-p', patch]);
  };
  return { kubectl, helm, run, start, enter, kubeconfig, folder, claim, fakeGpus };
}

function volumeOf(name: string, path: string): string {
  const storage = '10Gi';
  const common = { accessModes: ['ReadWriteOnce'], storageClassName: '' };
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: { ...common, capacity: { storage }, hostPath: { path } },
  };
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: { ...common, volumeName: name, resources: { requests: { storage } } },
  };
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [volume, claim] });
}

/** The kubelet's cgroups outlive the namespaces; they go from the leaves up. */
function removeCgroups(): void {
  const found = ['/sys/fs/cgroup', ...readdirSync('/sys/fs/cgroup').map((name) => join('/sys/fs/cgroup', name))];
  const pods = found.map((path) => join(path, 'kubepods'));
  spawnSync('find', [...pods, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+'], { stdio: 'ignore' });
}
