import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { monitoringCrdsFolder } from './monitoring-crds.ts';
import { prometheusPath, promtoolPath } from './install.ts';
import { prometheusConfig, type Monitor } from './prometheus-config.ts';
import { untilKnown } from './known.ts';
import type { Cluster } from './real-node.ts';

/** In the cluster's network. */
export const prometheusAddress = '127.0.0.1:9090';

/** An instant query's answer. */
export interface Sample {
  metric: Record<string, string>;
  value: number;
}

/** Makes the kinds ServiceMonitor, PodMonitor and PrometheusRule known, as an installed Prometheus Operator would. */
export function applyMonitoringCrds(cluster: Pick<Cluster, 'kubectl'>): void {
  for (const file of readdirSync(monitoringCrdsFolder())) {
    const { code, output } = cluster.kubectl(['apply', '--server-side', '-f', join(monitoringCrdsFolder(), file)]);
    if (code !== 0) throw new Error(output);
  }
  untilKnown(cluster, 'servicemonitors,podmonitors,prometheusrules');
}

/** Starts Prometheus in the cluster's network, scraping what the applied monitors say, with the chart's rules. */
export async function startPrometheus(cluster: Cluster): Promise<void> {
  const { code, output } = cluster.kubectl(['get', 'servicemonitors,podmonitors', '-A', '-o', 'json']);
  if (code !== 0) throw new Error(output);
  const { items } = JSON.parse(output) as { items: Monitor[] };
  const config = join(cluster.folder, 'prometheus.yaml');
  const rules = join(import.meta.dirname, '..', '..', 'charts', 'dpo-operator', 'files', 'rules.yaml');
  writeFileSync(config, prometheusConfig(items, cluster.kubeconfig, [rules]));
  const storage = `--storage.tsdb.path=${join(cluster.folder, 'prometheus')}`;
  cluster.start(
    [prometheusPath(), `--config.file=${config}`, storage, `--web.listen-address=${prometheusAddress}`],
    'prometheus.log',
  );
  const deadline = Date.now() + 60_000;
  while (cluster.run([promtoolPath(), 'check', 'ready', `--url=http://${prometheusAddress}`]).code !== 0) {
    if (Date.now() > deadline) {
      const log = readFileSync(join(cluster.folder, 'prometheus.log'), 'utf8');
      throw new Error(`Prometheus did not come up:\n${log.slice(-2000)}`);
    }
    await sleep(300);
  }
}

/** The samples of an instant query. */
export function ask(cluster: Pick<Cluster, 'run'>, expression: string): Sample[] {
  const { code, output } = cluster.run([
    promtoolPath(),
    'query',
    'instant',
    '-o',
    'json',
    `http://${prometheusAddress}`,
    expression,
  ]);
  if (code !== 0) throw new Error(`${expression}: ${output}`);
  const samples = JSON.parse(output) as { metric: Record<string, string>; value: [number, string] }[];
  return samples.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
}
