import { stringify } from 'yaml';

/** What is read of a ServiceMonitor or PodMonitor. */
export interface Monitor {
  kind: 'ServiceMonitor' | 'PodMonitor';
  metadata: { namespace: string; name: string };
  spec: {
    namespaceSelector?: { any?: boolean; matchNames?: string[] };
    selector: { matchLabels?: Record<string, string>; matchExpressions?: { key: string; operator: 'Exists' }[] };
    endpoints?: Endpoint[];
    podMetricsEndpoints?: Endpoint[];
  };
}
interface Endpoint {
  port: string;
  interval: string;
  honorLabels?: boolean;
}

const meta = (label: string): string => label.replaceAll(/[^A-Za-z0-9]/g, '_');

/** A scrape configuration as the Prometheus Operator derives it from the monitors that are applied. */
export function prometheusConfig(
  monitors: readonly Monitor[],
  kubeconfig: string,
  ruleFiles: readonly string[],
): string {
  const jobs = monitors.flatMap((monitor) => {
    const endpoints = monitor.spec.endpoints ?? monitor.spec.podMetricsEndpoints ?? [];
    return endpoints.map((endpoint) => scrape(monitor, endpoint, kubeconfig));
  });
  return stringify({ global: { evaluation_interval: '5s' }, rule_files: ruleFiles, scrape_configs: jobs });
}

function scrape(monitor: Monitor, endpoint: Endpoint, kubeconfig: string): object {
  const { kind, metadata, spec } = monitor;
  const isPod = kind === 'PodMonitor';
  const of = isPod ? 'pod' : 'service';
  const { any, matchNames = [metadata.namespace] } = spec.namespaceSelector ?? {};
  const keep = (source: string, regex: string): object => ({ source_labels: [source], regex, action: 'keep' });
  const take = (source: string, target: string): object => ({ source_labels: [source], target_label: target });
  const port = isPod ? '__meta_kubernetes_pod_container_port_name' : '__meta_kubernetes_endpointslice_port_name';
  return {
    job_name: `${of}Monitor/${metadata.namespace}/${metadata.name}`,
    honor_labels: endpoint.honorLabels ?? false,
    scrape_interval: endpoint.interval,
    scrape_timeout: endpoint.interval,
    kubernetes_sd_configs: [
      {
        role: isPod ? 'pod' : 'endpointslice',
        kubeconfig_file: kubeconfig,
        ...(any ? {} : { namespaces: { names: matchNames } }),
      },
    ],
    relabel_configs: [
      ...Object.entries(spec.selector.matchLabels ?? {}).map(([key, value]) =>
        keep(`__meta_kubernetes_${of}_label_${meta(key)}`, value),
      ),
      ...(spec.selector.matchExpressions ?? []).map(({ key }) =>
        keep(`__meta_kubernetes_${of}_labelpresent_${meta(key)}`, 'true'),
      ),
      keep(port, endpoint.port),
      { source_labels: ['__meta_kubernetes_pod_phase'], regex: '(Failed|Succeeded)', action: 'drop' },
      take('__meta_kubernetes_namespace', 'namespace'),
      take('__meta_kubernetes_pod_name', 'pod'),
    ],
  };
}
