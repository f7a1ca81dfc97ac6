import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts, type ControlPlane } from './control-plane.ts';
import { goFor } from './go-program.ts';
import { builtKueue } from './install.ts';

/** The folder of Kueue's CRDs, in the module that Go has fetched. */
function crds(): string {
  const cwd = join(import.meta.dirname, 'kueue');
  const env = { ...process.env, GOTOOLCHAIN: 'local' };
  const module = execFileSync(goFor('kueue'), ['list', '-m', '-f', '{{.Dir}}', 'sigs.k8s.io/kueue'], { cwd, env });
  return join(module.toString().trim(), 'config', 'components', 'crd', 'bases');
}

/** Kueue's settings: batch/v1 Jobs only, and no webhooks, without which it holds a Job back once it has seen it. */
function settings([health, metrics, webhook]: number[], certDir: string): object {
  return {
    apiVersion: 'config.kueue.x-k8s.io/v1beta2',
    kind: 'Configuration',
    health: { healthProbeBindAddress: `127.0.0.1:${health}` },
    metrics: { bindAddress: `127.0.0.1:${metrics}` },
    webhook: { host: '127.0.0.1', port: webhook, certDir },
    leaderElection: { leaderElect: false },
    internalCertManagement: { enable: false },
    integrations: { frameworks: ['batch/job'] },
  };
}

/** Starts the real Kueue beside a control plane. It reads its certificate at a place in /etc, of which it gets a view of its own. */
export async function startKueue(plane: ControlPlane): Promise<ChildProcess> {
  const program = builtKueue();
  const applied = plane.kubectl(['apply', '--server-side', '-f', crds()]);
  // Right after the creation there is no condition to wait for.
  await sleep(1000);
  const served = plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  for (const { code, output } of [applied, served]) if (code !== 0) throw new Error(output);
  const certificates = join(plane.folder, 'etc', 'kueue', 'metrics', 'certs');
  for (const folder of [certificates, join(plane.folder, 'etc-work')]) mkdirSync(folder, { recursive: true });
  for (const part of ['crt', 'key'])
    copyFileSync(join(plane.folder, `apiserver.${part}`), join(certificates, `tls.${part}`));
  const config = join(plane.folder, 'kueue.json');
  writeFileSync(config, JSON.stringify(settings(await freePorts(3), certificates)));
  const layers = `lowerdir=/etc,upperdir=${plane.folder}/etc,workdir=${plane.folder}/etc-work`;
  const script = 'mount -t overlay overlay -o "$1" /etc && shift && exec "$@"';
  const command = [program, `--config=${config}`, '--feature-gates=VisibilityOnDemand=false'];
  const log = openSync(join(plane.folder, 'kueue.log'), 'a');
  return spawn('unshare', ['--mount', 'sh', '-c', script, 'kueue', layers, ...command], {
    env: { ...process.env, KUBECONFIG: plane.kubeconfig, POD_NAMESPACE: 'default' },
    stdio: ['ignore', log, log],
  });
}
