import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { helmPath } from './install.ts';

/** What is read of an object that the chart makes. */
export interface Made {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  rules?: Rule[];
  roleRef?: { kind: string; name: string };
  spec?: unknown;
}
export interface Rule {
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
  verbs: string[];
}

const images = ['--set', 'image.repository=example/operator', '--set', 'trainer.image=example/trainer'];

/** The objects of a release in a namespace, with these `--set` values. Throws what helm said when it refused. */
export function renderChart(values: readonly string[] = [], namespace = 'dpo-system', release = 'dpo'): Made[] {
  if (!existsSync(helmPath())) throw new Error("helm is not built: run 'sh scripts/node scripts/setup.ts integration'");
  const set = values.flatMap((value) => ['--set', value]);
  const kinds = ['ServiceMonitor', 'PodMonitor', 'PrometheusRule'];
  const known = ['--kube-version', '1.34.0', ...kinds.flatMap((one) => ['-a', `monitoring.coreos.com/v1/${one}`])];
  const args = ['template', release, 'charts/dpo-operator', '-n', namespace, ...known, ...images, ...set];
  const { status, stdout, stderr } = spawnSync(helmPath(), args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Made | null)
    .filter((made) => made !== null);
}
