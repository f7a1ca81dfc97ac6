import { Gauge, Registry } from 'prom-client';
import { metricsSchema, type Metrics, type Progress } from '../../crds/progress.ts';
import { droppedRowsName, gaugeNames, runGaugeNames } from './names.ts';

const runHelp: Record<keyof typeof runGaugeNames, string> = {
  step: 'Optimizer steps done in the preference stage',
  totalSteps: 'Optimizer steps of the preference stage',
  epoch: 'Epochs done in the preference stage',
  percent: 'Share of the whole run that is done, in percent',
};

/** The trainer's metrics; a figure has a series from the moment it is known. */
export class TrainerMetrics {
  readonly registry = new Registry();
  private readonly gauges = new Map<string, Gauge>();
  private readonly dropped: Gauge;

  constructor(labels: { namespace: string; dpojob: string }) {
    this.registry.setDefaultLabels(labels);
    for (const [figure, name] of Object.entries(gaugeNames)) {
      const help = metricsSchema.shape[figure as keyof Metrics].description ?? name;
      this.gauges.set(figure, new Gauge({ name, help, registers: [] }));
    }
    for (const [figure, name] of Object.entries(runGaugeNames)) {
      const help = runHelp[figure as keyof typeof runGaugeNames];
      this.gauges.set(figure, new Gauge({ name, help, registers: [this.registry] }));
    }
    const help = 'Rows of the data set that were left out';
    this.dropped = new Gauge({ name: droppedRowsName, help, labelNames: ['reason'], registers: [this.registry] });
  }

  update(progress: Progress): void {
    const run = Object.keys(runGaugeNames).map((figure) => [figure, progress[figure as keyof typeof runGaugeNames]]);
    for (const [figure, value] of [...run, ...Object.entries(progress.metrics)] as [string, number | undefined][]) {
      if (value !== undefined) this.show(figure, value);
    }
    for (const [reason, rows] of Object.entries(progress.data?.dropped ?? {})) this.dropped.set({ reason }, rows);
  }

  private show(figure: string, value: number): void {
    const gauge = this.gauges.get(figure) as Gauge & { name: string };
    if (this.registry.getSingleMetric(gauge.name) === undefined) this.registry.registerMetric(gauge);
    gauge.set(value);
  }
}
