import type { MetricValue, Registry } from 'prom-client';
import type { DPOJob } from '../../crds/dpojob.ts';
import { managedByUs } from '../../crds/labels.ts';
import { dataMeasuresSchema, metricsSchema, type DataMeasures, type Metrics } from '../../crds/progress.ts';
import { jobDataFindingsName, jobDataMeasureNames, jobGaugeNames, jobRunNames } from './names.ts';
import { ScrapedGauge } from './scraped-gauge.ts';

const labelNames = ['namespace', 'dpojob'];

/** Seconds that trainers have had up to now, in earlier attempts and in the present one, whose clock ends with the job. */
function trainerSeconds({ status }: DPOJob): number {
  const { trainerSeconds: earlier = 0, trainerStartTime, completionTime } = status ?? {};
  if (trainerStartTime === undefined) return earlier;
  const end = completionTime === undefined ? Date.now() : Date.parse(completionTime);
  return earlier + Math.max(0, (end - Date.parse(trainerStartTime)) / 1000);
}

/** What is shown of a run besides its figures, with its words of help. */
const runGauges: Record<Exclude<keyof typeof jobRunNames, 'state' | 'failed' | 'amiss'>, Omit<JobGauge, 'name'>> = {
  step: { help: 'Optimizer steps done in the preference stage', value: ({ status }) => status?.progress?.step },
  totalSteps: { help: 'Optimizer steps of the preference stage', value: ({ status }) => status?.progress?.totalSteps },
  epoch: { help: 'Epochs done in the preference stage', value: ({ status }) => status?.progress?.epoch },
  percent: {
    help: 'Share of the whole run that is done, in percent',
    value: ({ status }) => status?.progress?.percent,
  },
  restarts: { help: 'Pods that ended without finishing the job', value: ({ status }) => status?.restarts },
  acceleratorSeconds: {
    help: 'Seconds that trainers have had, times their accelerators; waiting for a node or a quota is not in it',
    value: (job) => trainerSeconds(job) * job.spec.accelerator.count,
  },
  checkpointTime: {
    help: 'When the newest checkpoint was saved, seconds since 1970',
    value: ({ status: { checkpoint } = {} }) => checkpoint && Date.parse(checkpoint.time) / 1000,
  },
};

const failedReason = ({ status }: DPOJob): Record<string, number> => {
  const failed = status?.conditions?.find((one) => one.type === 'Failed' && one.status === 'True');
  return failed === undefined ? {} : { [failed.reason]: 1 };
};

const amissReason = ({ status: { reason, state } = {} }: DPOJob): Record<string, number> =>
  reason === undefined || state === 'Failed' ? {} : { [reason]: 1 };

/** A gauge of every DPOJob: its value, or its values by a further label. */
interface JobGauge {
  name: string;
  help: string;
  value: (job: DPOJob) => number | undefined;
}
interface LabelledJobGauge {
  name: string;
  help: string;
  label: string;
  values: (job: DPOJob) => Record<string, number>;
}

const jobGauges: readonly JobGauge[] = [
  ...(Object.entries(jobGaugeNames) as [keyof Metrics, string][]).map(([figure, name]) => ({
    name,
    help: metricsSchema.shape[figure].description ?? name,
    value: ({ status }: DPOJob) => status?.metrics?.[figure],
  })),
  ...(Object.entries(runGauges) as [keyof typeof runGauges, Omit<JobGauge, 'name'>][]).map(([figure, gauge]) => ({
    name: jobRunNames[figure],
    ...gauge,
  })),
  ...(Object.entries(jobDataMeasureNames) as [keyof DataMeasures, string][]).map(([measure, name]) => ({
    name,
    help: dataMeasuresSchema.shape[measure].description ?? name,
    value: ({ status }: DPOJob) => status?.data?.measures?.[measure],
  })),
];

const labelledJobGauges: readonly LabelledJobGauge[] = [
  {
    name: jobDataFindingsName,
    help: 'Rows that a check of dataset.quality found, left out or not',
    label: 'reason',
    values: ({ status }) => status?.data?.findings ?? {},
  },
  {
    name: jobRunNames.state,
    help: '1 for the present state of a DPOJob',
    label: 'state',
    values: ({ status }) => ({ [status?.state ?? 'Pending']: 1 }),
  },
  {
    name: jobRunNames.failed,
    help: '1 for a DPOJob that failed, by the reason',
    label: 'reason',
    values: failedReason,
  },
  {
    name: jobRunNames.amiss,
    help: '1 for what is amiss with a DPOJob that is not over, by the reason of its status',
    label: 'reason',
    values: amissReason,
  },
];

const labelsOf = ({ metadata: { namespace, name } }: DPOJob): Record<string, string> => ({ namespace, dpojob: name });

/**
 * The gauges of every DPOJob, read from the stored status at each scrape: what Prometheus has is what `kubectl get`
 * shows, a new leader has it all at once, and a series goes with its DPOJob. Only the leader shows them.
 */
export function registerJobMetrics(registry: Registry, jobs: () => Iterable<DPOJob>, leads: () => boolean): void {
  const isOurs = ({ spec }: DPOJob): boolean => (spec.managedBy ?? managedByUs) === managedByUs;
  const registers = [registry];
  const shown = function* (samples: (job: DPOJob) => MetricValue<string>[]): Iterable<MetricValue<string>> {
    if (!leads()) return;
    for (const job of jobs()) if (isOurs(job)) yield* samples(job);
  };
  for (const { name, help, value } of jobGauges) {
    const samples = (job: DPOJob): MetricValue<string>[] => {
      const found = value(job);
      return found === undefined ? [] : [{ value: found, labels: labelsOf(job) }];
    };
    void new ScrapedGauge({ name, help, registers, labelNames }, () => shown(samples));
  }
  for (const { name, help, label, values } of labelledJobGauges) {
    const samples = (job: DPOJob): MetricValue<string>[] =>
      Object.entries(values(job)).map(([key, found]) => ({ value: found, labels: { ...labelsOf(job), [label]: key } }));
    void new ScrapedGauge({ name, help, registers, labelNames: [...labelNames, label] }, () => shown(samples));
  }
}
