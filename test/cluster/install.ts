import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { goCommand } from './go.ts';

/**
 * Builds `kubeall`: etcd, API server, controller-manager, scheduler, kubelet, kube-proxy and kubectl in one Go program, from
 * pinned modules. Cached outside the project by its sources' hash; 6 minutes on two cores when nothing is cached.
 */
const module = join(import.meta.dirname, 'kubeall');
const sources = ['go.mod', 'go.sum', 'cmd/kubeall/main.go', 'cmd/kubeall/kcm.go'];
const version = /k8s\.io\/kubernetes v(\d+)\.(\d+)\.(\d+)/.exec(readFileSync(join(module, 'go.mod'), 'utf8'));
/** Go of the newest pinned module: go.mod's own line. */
const oldestGo = [1, 24] as const;

function fail(message: string): never {
  console.error(`cluster: ${message}`);
  process.exit(1);
}

function contentHash(): string {
  const hash = createHash('sha256').update(process.arch);
  for (const file of sources) hash.update(readFileSync(join(module, file)));
  return hash.digest('hex').slice(0, 16);
}

/** Where the program is, built or not. */
export function kubeallPath(): string {
  const cache = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
  return join(cache, `kubeall-${contentHash()}`, 'kubeall');
}

function goOrFail(): string {
  try {
    return goCommand(oldestGo);
  } catch (error) {
    return fail((error as Error).message);
  }
}

function build(path: string, go: string): void {
  const [, major, minor, patch] = version ?? fail('test/cluster/kubeall/go.mod names no Kubernetes version');
  console.log(`cluster: building Kubernetes ${major}.${minor}.${patch} (about 6 minutes on two cores, once)`);
  const stamp = 'k8s.io/component-base/version';
  const facts = { gitVersion: `v${major}.${minor}.${patch}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const stamps = Object.entries({ ...facts, gitCommit: 'unknown', buildDate: '1970-01-01T00:00:00Z' });
  const flags = `-s -w ${stamps.map(([name, value]) => `-X ${stamp}.${name}=${value}`).join(' ')}`;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  const args = ['build', '-mod=readonly', '-trimpath', '-ldflags', flags, '-o', temporary, './cmd/kubeall'];
  const { status } = spawnSync(go, args, {
    cwd: module,
    stdio: 'inherit',
    env: { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local' },
  });
  if (status !== 0) fail('the build failed (see above)');
  renameSync(temporary, path);
}

if (process.argv[1] === import.meta.filename) {
  const path = kubeallPath();
  if (!existsSync(path)) {
    build(path, goOrFail());
  }
  if (spawnSync('openssl', ['version']).error) fail('openssl is missing. On Debian: apt-get install openssl');
  console.log(`cluster: Kubernetes ${version?.slice(1).join('.')} is ready`);
}
