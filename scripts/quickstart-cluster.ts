import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { prepareExamples } from '../examples/prepare.ts';
import { applyMonitoringCrds, startPrometheus } from '../test/cluster/prometheus.ts';
import { startCluster, type Cluster } from '../test/cluster/real-node.ts';
import { archiveOf, imageName } from './images.ts';
import { forgetState, keepState } from './quickstart-state.ts';

/**
 * Holds quickstart's cluster until SIGTERM: a node, the example's claims, the chart, Prometheus. Started by quickstart.ts,
 * which reads the state file once all is up; errors go to the log.
 */
function must({ code, output }: { code: number; output: string }, what: string): void {
  if (code !== 0) throw new Error(`${what}: ${output}`);
}

function install(cluster: Cluster): void {
  const repository = imageName('operator').replace(/:[^:]*$/, '');
  const values = [`image.repository=${repository}`, `trainer.image=${imageName('trainer')}`, 'monitoring.interval=5s'];
  const set = [...values, 'image.pullPolicy=Never'].flatMap((value) => ['--set', value]);
  const where = ['--namespace', 'dpo-system', '--create-namespace', '--wait', '--timeout', '180s'];
  must(cluster.helm(['install', 'dpo', 'charts/dpo-operator', ...where, ...set]), 'helm install');
}

/** Fills the claims; returns the folder of `models`. */
function fillClaims(cluster: Cluster): string {
  const [models, data] = [cluster.claim('models'), cluster.claim('data')];
  prepareExamples(join(models, '..'));
  execFileSync('chown', ['-R', '1000:1000', models, data]);
  return models;
}

const say = (message: string): void => console.log(message);

/** Fills the bare cluster: claims, chart, Prometheus. Returns the folder of the claim `models`. */
async function fill(cluster: Cluster): Promise<string> {
  say('filling the claims `models` and `data`');
  const models = fillClaims(cluster);
  applyMonitoringCrds(cluster);
  say('installing the chart');
  install(cluster);
  say('starting Prometheus');
  await startPrometheus(cluster);
  return models;
}

say('bringing a cluster of one node up');
const cluster = await startCluster({ images: [archiveOf('operator'), archiveOf('trainer')] });
process.once('SIGTERM', () => {
  forgetState();
  void cluster.stop().then(() => process.exit(0));
});
let models: string;
try {
  models = await fill(cluster);
} catch (error) {
  console.error((error as Error).message);
  // What the node changed on this machine is put back.
  await cluster.stop();
  process.exit(1);
}
const { enter, kubeconfig } = cluster;
keepState({ pid: process.pid, enter: [...enter], kubeconfig, models });
say('ready');
// The pid namespace's first process is our child: as long as this one lives, the cluster does.
setInterval(() => undefined, 1 << 30);
