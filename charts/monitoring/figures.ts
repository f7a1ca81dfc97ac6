import type { Metrics } from '../../crds/progress.ts';
import { jobGaugeNames } from '../../operator/serve/names.ts';
import { gaugeNames } from '../../trainer-image/metrics/names.ts';

/** The jobs that the dashboard's variables choose. */
export const chosen = '{namespace=~"$namespace",dpojob=~"$dpojob"}';

/**
 * A figure of the chosen jobs: as the trainer's pod shows it, at every step; where there is no pod any more, as the operator
 * keeps it.
 */
export function figure(name: keyof Metrics): string {
  const by = (metric: string): string => `max by (namespace, dpojob) (${metric}${chosen})`;
  return `${by(gaugeNames[name])} or ${by(jobGaugeNames[name])}`;
}
