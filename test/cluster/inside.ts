import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startControlPlane, type ControlPlane } from './control-plane.ts';
import { kubeallPath } from './install.ts';
import { containerdConfig, kubeletConfig, networkConfig, nodeAddress } from './node-config.ts';
import { writeKubeconfig } from './pki.ts';

/**
 * First process of the namespaces that real-node.ts makes: brings the control plane and one node up, prints one line of
 * JSON, and stays. When it ends, the kernel ends and removes all the rest: processes, mounts, addresses, iptables rules.
 */
const [folder = '', ...archives] = process.argv.slice(2);
const run = (command: string, ...args: string[]): void => void execFileSync(command, args, { stdio: 'pipe' });

function start(name: string, command: string, ...args: string[]): void {
  const log = openSync(join(folder, `${name}.log`), 'a');
  spawn(command, args, { stdio: ['ignore', log, log] });
}

/** Polls for at most a minute. */
async function until(what: string, ready: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!ready()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come up: see the logs in ${folder}`);
    await sleep(100);
  }
}

/** What kubelet, containerd and CNI write at fixed places goes to layers of our own. */
function coverFolders(): void {
  run('mount', '--make-rshared', '/');
  for (const path of ['var', 'etc', 'run', 'usr/libexec']) {
    const [upper, work] = ['upper', 'work'].map((kind) => join(folder, 'overlay', kind, path.replace('/', '-')));
    for (const made of [upper, work]) mkdirSync(made ?? '', { recursive: true });
    run('mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=/${path},upperdir=${upper},workdir=${work}`, `/${path}`);
  }
}

function setUpNetwork(): void {
  run('hostname', 'node1');
  run('ip', 'link', 'set', 'lo', 'up');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  run('ip', 'addr', 'add', `${nodeAddress}/32`, 'dev', 'lo');
  // kubelet and kube-proxy look for the interface of the default route; nothing answers there.
  run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
  run('ip', 'addr', 'add', '10.250.1.1/24', 'dev', 'up0');
  for (const link of ['up0', 'up1']) run('ip', 'link', 'set', link, 'up');
  run('ip', 'route', 'add', 'default', 'dev', 'up0');
}

async function startContainerd(): Promise<void> {
  mkdirSync(join(folder, 'cni'), { recursive: true });
  writeFileSync(join(folder, 'cni', '10-pods.conflist'), networkConfig(folder));
  writeFileSync(join(folder, 'containerd.toml'), containerdConfig(folder));
  start('containerd', 'containerd', '--config', join(folder, 'containerd.toml'));
  const socket = join(folder, 'containerd.sock');
  await until('containerd', () => spawnSync('ctr', ['-a', socket, 'version']).status === 0);
  for (const archive of archives) run('ctr', '-a', socket, '-n', 'k8s.io', 'images', 'import', archive);
}

async function startNode(plane: ControlPlane): Promise<void> {
  for (const name of ['kubelet', 'pod-logs', 'plugins']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'resolv.conf'), 'nameserver 10.96.0.10\n');
  writeFileSync(join(folder, 'kubelet.json'), kubeletConfig(folder, join(plane.folder, 'ca.crt')));
  start(
    'kubelet',
    kubeallPath(),
    'kubelet',
    `--config=${join(folder, 'kubelet.json')}`,
    `--kubeconfig=${writeKubeconfig(plane.folder, plane.server, 'node1')}`,
    '--hostname-override=node1',
    `--node-ip=${nodeAddress}`,
    `--root-dir=${join(folder, 'kubelet')}`,
    `--cert-dir=${join(folder, 'kubelet', 'pki')}`,
  );
  start(
    'kube-proxy',
    kubeallPath(),
    'kube-proxy',
    '--proxy-mode=iptables',
    '--cluster-cidr=10.244.0.0/16',
    `--kubeconfig=${writeKubeconfig(plane.folder, plane.server, 'proxy')}`,
    '--hostname-override=node1',
    '--conntrack-max-per-core=0',
    '--conntrack-tcp-timeout-established=0',
    '--conntrack-tcp-timeout-close-wait=0',
  );
  const ready = ['get', 'node', 'node1', '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'];
  await until('node1', () => plane.kubectl(ready).output === 'True');
}

coverFolders();
setUpNetwork();
// The control plane's folder goes with ours: nobody is left to remove it.
process.env['TMPDIR'] = folder;
// The `kubernetes` service needs an address that pods can reach, and the lease reconciler to enter it.
const plane = await startControlPlane({ address: nodeAddress, apiServer: ['--endpoint-reconciler-type=lease'] });
await startContainerd();
await startNode(plane);
console.log(JSON.stringify({ kubeconfig: plane.kubeconfig }));
