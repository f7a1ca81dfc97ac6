import type { DPOJobStatus } from '../../crds/dpojob.ts';
import type { Metrics, Progress } from '../../crds/progress.ts';
import { endedPods, parseTermination } from './failure.ts';
import type { Observation } from './observation.ts';
import { trainerState } from './pods.ts';
import { newer } from './retry.ts';

/** A figure to 6 significant digits; figures that are not finite are left out, since JSON cannot carry them. */
export function round(value: number): number {
  return Number(value.toPrecision(6));
}

function roundAll(metrics: Metrics): Metrics {
  const figures = Object.entries(metrics).filter(([, value]) => value !== undefined && Number.isFinite(value));
  return Object.fromEntries(figures.map(([name, value]) => [name, round(value as number)])) as Metrics;
}

/** The newest record of the trainer: the poll's answer or what a pod left when it ended. */
export function latestProgress({ answer, pods }: Observation): Progress | undefined {
  const left = pods
    .map((pod) => {
      const said = parseTermination(trainerState(pod)?.terminated?.message)?.progress;
      return said?.podUID === pod.metadata.uid ? said : undefined;
    })
    .filter((progress) => progress !== undefined);
  const all = answer === undefined ? left : [answer.progress, ...left];
  return all.toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time)).at(-1);
}

type Reported = Pick<DPOJobStatus, 'progress' | 'metrics' | 'data' | 'checkpoint' | 'output'>;

/** What status keeps of the trainer's word; what it did not say stays as it was. */
export function reported(observation: Observation): Reported {
  const { progress: p, metrics, data, checkpoint, output } = observation.job.status ?? {};
  const latest = latestProgress(observation);
  const before = definedOnly({ progress: p, metrics, data, checkpoint, output });
  if (latest === undefined) {
    return before;
  }
  const { stage, step, totalSteps, etaSeconds, time } = latest;
  const eta = etaSeconds === undefined ? {} : { etaSeconds: round(etaSeconds) };
  const progress = {
    stage,
    step,
    totalSteps,
    epoch: round(latest.epoch),
    percent: round(latest.percent),
    ...eta,
    updateTime: time,
  };
  return {
    ...before,
    progress,
    metrics: { ...metrics, ...roundAll(latest.metrics) },
    ...definedOnly({ data: latest.data, output: latest.output, checkpoint: newer(checkpoint, latest.checkpoint) }),
  };
}

/** Parts of a status without those that are undefined: the API server is told nothing of them. */
export function definedOnly(values: { [K in keyof DPOJobStatus]?: DPOJobStatus[K] | undefined }): DPOJobStatus {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as DPOJobStatus;
}

/** Whether a trainer of this attempt is past loading. */
export function hasBegun(observation: Observation): boolean {
  const stage = latestProgress(observation)?.stage;
  return (stage !== undefined && stage !== 'Loading') || endedPods(observation.pods).some(({ said }) => said?.progress);
}
