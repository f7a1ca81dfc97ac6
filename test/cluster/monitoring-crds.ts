import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail, goFor } from './go-program.ts';

/** The CRDs of ServiceMonitor, PodMonitor and PrometheusRule, from the Prometheus Operator's Go module. */
const module = 'github.com/prometheus-operator/prometheus-operator';
const version = 'v0.85.0';
/** The module's hash as a go.sum would have it. */
const sum = 'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=';
const kinds = ['servicemonitors', 'podmonitors', 'prometheusrules'];

const folder = (): string =>
  join(process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator'), `monitoring-crds-${version}`);

/** Where the CRDs are, fetched or not. */
export const monitoringCrdsFolder = folder;

/** Fetches the CRDs unless they are there. */
export function fetchMonitoringCrds(): void {
  if (existsSync(folder())) return;
  const go = goFor('kubeall');
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '' };
  const args = ['mod', 'download', '-json', `${module}@${version}`];
  const { status, stdout, stderr } = spawnSync(go, args, { cwd: tmpdir(), env, encoding: 'utf8' });
  if (status !== 0) fail(`the Prometheus Operator's module cannot be fetched:\n${stdout}${stderr}`);
  const { Dir, Sum } = JSON.parse(stdout) as { Dir: string; Sum: string };
  if (Sum !== sum) fail(`${module} ${version} is not what it was: ${Sum}`);
  const made = `${folder()}.${process.pid}`;
  mkdirSync(made, { recursive: true });
  for (const kind of kinds) {
    const file = `monitoring.coreos.com_${kind}.yaml`;
    copyFileSync(join(Dir, 'example', 'prometheus-operator-crd', file), join(made, file));
  }
  rmSync(folder(), { recursive: true, force: true });
  renameSync(made, folder());
}
