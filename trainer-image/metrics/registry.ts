import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  dataMeasuresSchema,
  metricsSchema,
  type DataMeasures,
  type Metrics,
  type Progress,
} from '../../crds/progress.ts';
import { counters, dataFindingsName, dataMeasureNames, droppedRowsName, gaugeNames, histograms } from './names.ts';
import { runGaugeNames, type Work } from './names.ts';

const runHelp: Record<keyof typeof runGaugeNames, string> = {
  step: 'Optimizer steps done in the preference stage',
  totalSteps: 'Optimizer steps of the preference stage',
  epoch: 'Epochs done in the preference stage',
  percent: 'Share of the whole run that is done, in percent',
};

/** From a small model's step to a large one's checkpoint. */
const buckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** The trainer's metrics; a figure has a series from the moment it is known. */
export class TrainerMetrics {
  readonly registry = new Registry();
  private readonly gauges = new Map<string, Gauge>();
  private readonly dropped: Gauge;
  private readonly findings: Gauge;
  private readonly seconds = new Map<string, Histogram>();
  private readonly counters = new Map<string, Counter>();

  constructor(labels: { namespace: string; dpojob: string }) {
    this.registry.setDefaultLabels(labels);
    for (const [figure, name] of Object.entries(gaugeNames)) {
      const help = metricsSchema.shape[figure as keyof Metrics].description ?? name;
      this.gauges.set(figure, new Gauge({ name, help, registers: [] }));
    }
    for (const [measure, name] of Object.entries(dataMeasureNames)) {
      const help = dataMeasuresSchema.shape[measure as keyof DataMeasures].description ?? name;
      this.gauges.set(measure, new Gauge({ name, help, registers: [] }));
    }
    for (const [figure, name] of Object.entries(runGaugeNames)) {
      const help = runHelp[figure as keyof typeof runGaugeNames];
      this.gauges.set(figure, new Gauge({ name, help, registers: [this.registry] }));
    }
    const common = { labelNames: ['stage'], registers: [this.registry] };
    for (const [kind, described] of Object.entries(histograms)) {
      this.seconds.set(kind, new Histogram({ ...described, ...common, buckets }));
    }
    for (const [what, described] of Object.entries(counters)) {
      this.counters.set(what, new Counter({ ...described, ...common }));
    }
    const rows = (name: string, help: string): Gauge =>
      new Gauge({ name, help, labelNames: ['reason'], registers: [this.registry] });
    this.dropped = rows(
      droppedRowsName,
      'Rows of the data set that were left out; a reason that begins with SFT: fine-tuning rows',
    );
    this.findings = rows(
      dataFindingsName,
      'Rows that a check of dataset.quality found, left out or not; a reason that begins with SFT: fine-tuning rows',
    );
  }

  update(progress: Progress): void {
    const run = Object.keys(runGaugeNames).map((figure) => [figure, progress[figure as keyof typeof runGaugeNames]]);
    const { dropped = {}, findings = {}, measures = {} } = progress.data ?? {};
    const known = [...run, ...Object.entries(progress.metrics), ...Object.entries(measures)];
    for (const [figure, value] of known as [string, number | undefined][]) {
      if (value !== undefined) this.show(figure, value);
    }
    for (const [reason, rows] of Object.entries(dropped)) this.dropped.set({ reason }, rows);
    for (const [reason, rows] of Object.entries(findings)) this.findings.set({ reason }, rows);
  }

  /** Counts a unit of work and notes how long it took. */
  observe({ kind, stage, seconds, pairs, tokens }: Work): void {
    this.seconds.get(kind)?.observe({ stage }, seconds);
    if (kind === 'checkpoint') this.counters.get('checkpoints')?.inc({ stage });
    if (pairs !== undefined) this.counters.get('pairs')?.inc({ stage }, pairs);
    if (tokens !== undefined) this.counters.get('tokens')?.inc({ stage }, tokens);
  }

  private show(figure: string, value: number): void {
    const gauge = this.gauges.get(figure) as Gauge & { name: string };
    if (this.registry.getSingleMetric(gauge.name) === undefined) this.registry.registerMetric(gauge);
    gauge.set(value);
  }
}
