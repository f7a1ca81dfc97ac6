import { Gauge, type Registry } from 'prom-client';
import type { DPOJob } from '../../crds/dpojob.ts';
import { managedByUs } from '../../crds/labels.ts';
import { dataMeasuresSchema, metricsSchema, type DataMeasures, type Metrics } from '../../crds/progress.ts';
import { jobDataFindingsName, jobDataMeasureNames, jobGaugeNames, jobRunNames } from './names.ts';

const labelNames = ['namespace', 'dpojob'] as const;
const runHelp: Record<Exclude<keyof typeof jobRunNames, 'state' | 'failed' | 'amiss'>, string> = {
  step: 'Optimizer steps done in the preference stage',
  totalSteps: 'Optimizer steps of the preference stage',
  epoch: 'Epochs done in the preference stage',
  percent: 'Share of the whole run that is done, in percent',
  restarts: 'Pods that ended without finishing the job',
  acceleratorSeconds:
    'Seconds that trainers have had, times their accelerators; waiting for a node or a quota is not in it',
  checkpointTime: 'When the newest checkpoint was saved, seconds since 1970',
};

/** Seconds that trainers have had up to now, in earlier attempts and in the present one, whose clock ends with the job. */
function trainerSeconds({ status }: DPOJob): number {
  const { trainerSeconds: earlier = 0, trainerStartTime, completionTime } = status ?? {};
  if (trainerStartTime === undefined) return earlier;
  const end = completionTime === undefined ? Date.now() : Date.parse(completionTime);
  return earlier + Math.max(0, (end - Date.parse(trainerStartTime)) / 1000);
}

function runFigures(job: DPOJob): Record<keyof typeof runHelp, number | undefined> {
  const { progress, restarts, checkpoint } = job.status ?? {};
  const { step, totalSteps, epoch, percent } = progress ?? {};
  const acceleratorSeconds = trainerSeconds(job) * job.spec.accelerator.count;
  const checkpointTime = checkpoint === undefined ? undefined : Date.parse(checkpoint.time) / 1000;
  return { step, totalSteps, epoch, percent, restarts, acceleratorSeconds, checkpointTime };
}

const failedReason = ({ status }: DPOJob): Record<string, number> => {
  const failed = status?.conditions?.find((one) => one.type === 'Failed' && one.status === 'True');
  return failed === undefined ? {} : { [failed.reason]: 1 };
};

const amissReason = ({ status: { reason, state } = {} }: DPOJob): Record<string, number> =>
  reason === undefined || state === 'Failed' ? {} : { [reason]: 1 };

/**
 * The gauges of every DPOJob, read from the stored status at each scrape: what Prometheus has is what `kubectl get`
 * shows, a new leader has it all at once, and a series goes with its DPOJob. Only the leader shows them.
 */
export function registerJobMetrics(registry: Registry, jobs: () => Iterable<DPOJob>, leads: () => boolean): void {
  const isOurs = ({ spec }: DPOJob): boolean => (spec.managedBy ?? managedByUs) === managedByUs;
  const shown = function* (): Iterable<DPOJob> {
    if (!leads()) return;
    for (const job of jobs()) if (isOurs(job)) yield job;
  };
  const gauge = (name: string, help: string, value: (job: DPOJob) => number | undefined): void => {
    const made: Gauge<(typeof labelNames)[number]> = new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect: () => {
        made.reset();
        for (const job of shown()) {
          const found = value(job);
          if (found !== undefined) made.set({ namespace: job.metadata.namespace, dpojob: job.metadata.name }, found);
        }
      },
    });
  };
  for (const [figure, name] of Object.entries(jobGaugeNames) as [keyof Metrics, string][]) {
    gauge(name, metricsSchema.shape[figure].description ?? name, ({ status }) => status?.metrics?.[figure]);
  }
  for (const [figure, help] of Object.entries(runHelp) as [keyof typeof runHelp, string][]) {
    gauge(jobRunNames[figure], help, (job) => runFigures(job)[figure]);
  }
  for (const [measure, name] of Object.entries(jobDataMeasureNames) as [keyof DataMeasures, string][]) {
    const help = dataMeasuresSchema.shape[measure].description ?? name;
    gauge(name, help, ({ status }) => status?.data?.measures?.[measure]);
  }
  labelled(registry, shown, {
    name: jobDataFindingsName,
    help: 'Rows that a check of dataset.quality found, left out or not',
    label: 'reason',
    values: ({ status }) => status?.data?.findings ?? {},
  });
  labelled(registry, shown, {
    name: jobRunNames.state,
    help: '1 for the present state of a DPOJob',
    label: 'state',
    values: ({ status }) => ({ [status?.state ?? 'Pending']: 1 }),
  });
  labelled(registry, shown, {
    name: jobRunNames.failed,
    help: '1 for a DPOJob that failed, by the reason',
    label: 'reason',
    values: failedReason,
  });
  labelled(registry, shown, {
    name: jobRunNames.amiss,
    help: '1 for what is amiss with a DPOJob that is not over, by the reason of its status',
    label: 'reason',
    values: amissReason,
  });
}

interface Labelled {
  name: string;
  help: string;
  label: string;
  /** Value by the label's value. */
  values: (job: DPOJob) => Record<string, number>;
}

/** A gauge of every DPOJob with a label of its own. */
function labelled(registry: Registry, shown: () => Iterable<DPOJob>, { name, help, label, values }: Labelled): void {
  const made: Gauge = new Gauge({
    name,
    help,
    labelNames: [...labelNames, label],
    registers: [registry],
    collect: () => {
      made.reset();
      for (const job of shown()) {
        const { namespace, name: dpojob } = job.metadata;
        for (const [key, value] of Object.entries(values(job))) made.set({ namespace, dpojob, [label]: key }, value);
      }
    },
  });
}
