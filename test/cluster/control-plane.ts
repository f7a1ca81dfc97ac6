import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kubeallPath } from './install.ts';
import { makePki, writeKubeconfig } from './pki.ts';

/** A real control plane: etcd, API server, controller-manager and scheduler on loopback, with ports and a folder of its own. */
export interface ControlPlane {
  /** Folder of its certificates, kubeconfigs and logs. */
  folder: string;
  server: string;
  kubeconfig: string;
  /** Runs kubectl as admin. Returns what it printed; `code` is its exit status. */
  kubectl(args: readonly string[], input?: string): { code: number; output: string };
  /** Sends a signal to one of its programs. */
  signal(program: Program, signal: NodeJS.Signals): void;
  /** Kills the API server and starts it anew; resolves when it answers again. */
  restartApiServer(): Promise<void>;
  stop(): void;
}

export type Program = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler';

/** Where it listens and what it is started with beyond what every control plane needs. */
export interface ControlPlaneOptions {
  /** Address of the API server; it must be this machine's (or this network namespace's). */
  address?: string;
  apiServer?: readonly string[];
  controllerManager?: readonly string[];
  /** Called when the API server answers, before its controllers start: they look for new kinds every half minute only. */
  prepare?: (plane: Pick<ControlPlane, 'kubectl'>) => void;
}

const usual: Required<ControlPlaneOptions> = {
  address: '127.0.0.1',
  apiServer: [],
  controllerManager: [],
  prepare: () => {},
};

const clock = new Int32Array(new SharedArrayBuffer(4));

/** A zombie, which Node.js has yet to reap, writes no more. */
function isRunning({ pid }: ChildProcess): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Ports that are free now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports.push((server.address() as { port: number }).port);
  }
  servers.forEach((server) => server.close());
  return ports;
}

function logTail(folder: string, name: string): string {
  const file = join(folder, `${name}.log`);
  return existsSync(file) ? readFileSync(file, 'utf8').slice(-1500) : '';
}

/** Polls until `ready` holds; throws with the end of the program's log when it died or after a minute. */
async function waitFor(what: string, folder: string, child: ChildProcess, ready: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!ready()) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`${what} did not come up:\n${logTail(folder, what)}`);
    await sleep(100);
  }
}

/** Brings a control plane up; several live side by side. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const kubeall = kubeallPath();
  if (!existsSync(kubeall))
    throw new Error("Kubernetes is not built: run 'sh scripts/node scripts/setup.ts integration'");
  const folder = mkdtempSync(join(tmpdir(), 'control-plane-'));
  const children: ChildProcess[] = [];
  const running = new Map<Program, ChildProcess>();
  const start = (name: Program, args: string[]): ChildProcess => {
    const log = openSync(join(folder, `${name}.log`), 'a');
    const child = spawn(kubeall, [name, ...args], { stdio: ['ignore', log, log] });
    children.push(child);
    running.set(name, child);
    return child;
  };
  const stop = (): void => {
    // The state is thrown away, so there is nothing to end well.
    children.toReversed().forEach((child) => child.kill('SIGKILL'));
    // One that still ran would write into the folder again.
    const deadline = Date.now() + 5000;
    while (children.some(isRunning) && Date.now() < deadline) Atomics.wait(clock, 0, 0, 20);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once('exit', stop);

  makePki(folder);
  const [api = 0, client = 0, peer = 0, manager = 0, scheduler = 0] = await freePorts(5);
  const { address, apiServer: extra, controllerManager, prepare } = { ...usual, ...options };
  const server = `https://${address}:${api}`;
  const kubeconfig = writeKubeconfig(folder, server, 'admin');
  const kubectl = kubectlOf(kubeall, folder, kubeconfig);
  const apiServerArgs = [
    ...apiServerFlags(folder, api, client),
    `--bind-address=${address}`,
    `--advertise-address=${address}`,
    ...extra,
  ];
  const startApiServer = (): Promise<void> => {
    const apiServer = start('kube-apiserver', apiServerArgs);
    return waitFor('kube-apiserver', folder, apiServer, () => kubectl(['get', '--raw', '/readyz']).output === 'ok');
  };
  try {
    start('etcd', etcdFlags(folder, client, peer));
    await startApiServer();
    prepare({ kubectl });
    // Not before /readyz: it would be refused before RBAC is there, and back off for a minute.
    const config = writeKubeconfig(folder, server, 'controller-manager');
    const flags = [...controllerManagerFlags(folder, config, manager), ...controllerManager];
    const controllers = start('kube-controller-manager', flags);
    start('kube-scheduler', schedulerFlags(writeKubeconfig(folder, server, 'scheduler'), scheduler));
    await waitFor(
      'kube-controller-manager',
      folder,
      controllers,
      () => kubectl(['get', 'serviceaccount', 'default']).code === 0,
    );
  } catch (error) {
    stop();
    throw error;
  }
  const signal: ControlPlane['signal'] = (program, signal) => void running.get(program)?.kill(signal);
  const restartApiServer = async (): Promise<void> => {
    const before = running.get('kube-apiserver');
    const ended = new Promise((resolve) => before?.once('exit', resolve));
    before?.kill('SIGKILL');
    await ended;
    await startApiServer();
  };
  return { folder, server, kubeconfig, kubectl, signal, restartApiServer, stop };
}

function kubectlOf(kubeall: string, folder: string, kubeconfig: string): ControlPlane['kubectl'] {
  // What kubectl keeps of an API server's kinds goes with it.
  const env = { ...process.env, KUBECACHEDIR: join(folder, 'kubectl') };
  return (args, input = '') => {
    const { status, stdout, stderr } = spawnSync(kubeall, ['kubectl', '--kubeconfig', kubeconfig, ...args], {
      input,
      env,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    return { code: status ?? 1, output: stdout + stderr };
  };
}

function etcdFlags(folder: string, client: number, peer: number): string[] {
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  return [
    `--name=one`,
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=one=${peerUrl}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerFlags(folder: string, port: number, etcd: number): string[] {
  const file = (name: string): string => join(folder, name);
  return [
    `--etcd-servers=http://127.0.0.1:${etcd}`,
    `--secure-port=${port}`,
    `--tls-cert-file=${file('apiserver.crt')}`,
    `--tls-private-key-file=${file('apiserver.key')}`,
    `--client-ca-file=${file('ca.crt')}`,
    `--requestheader-client-ca-file=${file('ca.crt')}`,
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.pub')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    `--kubelet-client-certificate=${file('kubelet-client.crt')}`,
    `--kubelet-client-key=${file('kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--endpoint-reconciler-type=none',
    '--allow-privileged=true',
    '--enable-priority-and-fairness=false',
    '--shutdown-delay-duration=0s',
    '--profiling=false',
  ];
}

function controllerManagerFlags(folder: string, kubeconfig: string, port: number): string[] {
  return [
    ...['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map((flag) => `--${flag}=${kubeconfig}`),
    `--service-account-private-key-file=${join(folder, 'sa.key')}`,
    `--root-ca-file=${join(folder, 'ca.crt')}`,
    '--use-service-account-credentials',
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    `--flex-volume-plugin-dir=${join(folder, 'flex')}`,
  ];
}

function schedulerFlags(kubeconfig: string, port: number): string[] {
  return [
    ...['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map((flag) => `--${flag}=${kubeconfig}`),
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
  ];
}
