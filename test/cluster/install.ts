import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildProgram, fail, programPath, type GoProgram } from './go-program.ts';
import { fetchMonitoringCrds } from './monitoring-crds.ts';

/**
 * Builds the cluster's programs from pinned Go modules, one after another, where they are not built yet: `kubeall` (etcd,
 * API server, controller-manager, scheduler, kubelet, kube-proxy and kubectl in one); with `--tools` also promtool, helm, kwok and s3;
 * with `--node` also promtool, helm, Prometheus and the Prometheus Operator's CRDs; with `--s3` also s3.
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
};
const helm: GoProgram = {
  name: 'helm',
  module: 'helm',
  sources: ['go.mod', 'go.sum'],
  package: 'helm.sh/helm/v3/cmd/helm',
  about: 'helm (about 4 minutes on two cores, once)',
};
const kwok: GoProgram = {
  name: 'kwok',
  module: 'kwok',
  sources: ['go.mod', 'go.sum'],
  package: 'sigs.k8s.io/kwok/cmd/kwok',
  about: 'kwok (about 3 minutes on two cores, once)',
};
const s3: GoProgram = {
  name: 's3',
  module: 's3',
  sources: ['go.mod', 'go.sum', 'main.go'],
  package: '.',
  about: 'an S3 server (seconds)',
};

const kueue: GoProgram = {
  name: 'kueue',
  module: 'kueue',
  sources: ['go.mod', 'go.sum'],
  package: 'sigs.k8s.io/kueue/cmd/kueue',
  about: 'Kueue (about 5 minutes on two cores, once)',
};

const prometheusModule = {
  module: 'prometheus',
  sources: ['go.mod', 'go.sum'],
  // Kubernetes discovery is the only one that is needed, and Debian's Prometheus lacks just this.
  tags: 'remove_all_sd,enable_kubernetes_sd',
};
const prometheus: GoProgram = {
  ...prometheusModule,
  name: 'prometheus',
  package: 'github.com/prometheus/prometheus/cmd/prometheus',
  about: 'Prometheus (about 4 minutes on two cores, once)',
};
const promtool: GoProgram = {
  ...prometheusModule,
  name: 'promtool',
  package: 'github.com/prometheus/prometheus/cmd/promtool',
  about: 'promtool (about 3 minutes on two cores, once)',
};

export const kubeallPath = (): string => programPath(kubeall);
export const helmPath = (): string => programPath(helm);
export const kwokPath = (): string => programPath(kwok);
/** Kueue, built now if need be: only the soak asks for it. */
export function builtKueue(): string {
  buildProgram(kueue);
  return programPath(kueue);
}
export const s3Path = (): string => programPath(s3);
export const prometheusPath = (): string => programPath(prometheus);
export const promtoolPath = (): string => programPath(promtool);

if (process.argv[1] === import.meta.filename) {
  buildProgram(kubeall);
  if (process.argv.includes('--tools')) [promtool, helm, kwok, s3].forEach(buildProgram);
  if (process.argv.includes('--node')) {
    [promtool, helm, prometheus].forEach(buildProgram);
    fetchMonitoringCrds();
  }
  if (process.argv.includes('--s3')) buildProgram(s3);
  if (spawnSync('openssl', ['version']).error) fail('openssl is missing. On Debian: apt-get install openssl');
  console.log(`cluster: Kubernetes ${version.join('.')} is ready`);
}
