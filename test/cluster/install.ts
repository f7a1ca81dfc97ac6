import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildProgram, fail, programPath, type GoProgram } from './go-program.ts';

/**
 * Builds the cluster's programs from pinned Go modules, one after another, where they are not built yet: `kubeall` (etcd,
 * API server, controller-manager, scheduler, kubelet, kube-proxy and kubectl in one) and, with `--all`, helm.
 */
const goMod = readFileSync(join(import.meta.dirname, 'kubeall', 'go.mod'), 'utf8');
const version =
  /k8s\.io\/kubernetes v(\d+)\.(\d+)\.(\d+)/.exec(goMod)?.slice(1) ?? fail('kubeall/go.mod names no Kubernetes');
const [major, minor] = version;
const stamps = Object.entries({
  gitVersion: `v${version.join('.')}`,
  gitMajor: major,
  gitMinor: minor,
  gitTreeState: 'clean',
  gitCommit: 'unknown',
  buildDate: '1970-01-01T00:00:00Z',
});

const kubeall: GoProgram = {
  name: 'kubeall',
  module: 'kubeall',
  sources: ['go.mod', 'go.sum', 'cmd/kubeall/main.go', 'cmd/kubeall/kcm.go'],
  package: './cmd/kubeall',
  linkerFlags: stamps.map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`).join(' '),
  about: `Kubernetes ${version.join('.')} (about 6 minutes on two cores, once)`,
  oldestGo: [1, 24],
};
const helm: GoProgram = {
  name: 'helm',
  module: 'helm',
  sources: ['go.mod', 'go.sum'],
  package: 'helm.sh/helm/v3/cmd/helm',
  about: 'helm (about 4 minutes on two cores, once)',
  oldestGo: [1, 24],
};

export const kubeallPath = (): string => programPath(kubeall);
export const helmPath = (): string => programPath(helm);

if (process.argv[1] === import.meta.filename) {
  buildProgram(kubeall);
  if (process.argv.includes('--all')) buildProgram(helm);
  if (spawnSync('openssl', ['version']).error) fail('openssl is missing. On Debian: apt-get install openssl');
  console.log(`cluster: Kubernetes ${version.join('.')} is ready`);
}
