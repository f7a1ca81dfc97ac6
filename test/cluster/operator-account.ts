import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderChart } from './chart.ts';
import type { ControlPlane } from './control-plane.ts';

const kinds = ['ServiceAccount', 'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'];

/**
 * A kubeconfig of the operator's service account, with exactly the rights that the chart gives it: what the chart renders
 * is applied, as admin, and nothing else. Made once for each control plane, namespace and values.
 */
export function operatorAccount(plane: ControlPlane, values: readonly string[] = [], namespace = 'default'): string {
  const path = join(plane.folder, `operator-${[namespace, ...values].join('-').replaceAll(/[^a-z0-9-]/gi, '_')}`);
  if (existsSync(path)) return path;
  const kubectl = (args: string[], input = ''): string => {
    const { code, output } = plane.kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${output}`);
    return output;
  };
  const items = renderChart(values, namespace).filter(({ kind }) => kinds.includes(kind));
  kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const token = kubectl(['create', 'token', 'dpo', '-n', namespace, '--duration=2h']).trim();
  const config = JSON.parse(readFileSync(plane.kubeconfig, 'utf8')) as { users: object[]; contexts: object[] };
  const name = config.contexts.map((one) => (one as { context: { user: string } }).context.user)[0];
  writeFileSync(path, JSON.stringify({ ...config, users: [{ name, user: { token } }] }));
  return path;
}
