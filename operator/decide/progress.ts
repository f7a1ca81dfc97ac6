import type { DPOJobStatus } from '../../crds/status.ts';
import type { Comparison, Metrics, Progress } from '../../crds/progress.ts';
import { lastSaid } from './last-said.ts';
import type { Observation, ObservedPod } from './observation.ts';
import { byCreation, livePod } from './pods.ts';
import { newer } from './retry.ts';

/** A figure to 6 significant digits; figures that are not finite are left out, since JSON cannot carry them. */
export function round(value: number): number {
  return Number(value.toPrecision(6));
}

function roundAll<T extends Metrics | Comparison>(metrics: T): T {
  const figures = Object.entries(metrics).filter(([, value]) => value !== undefined && Number.isFinite(value));
  return Object.fromEntries(figures.map(([name, value]) => [name, round(value as number)])) as T;
}

/** The live pod's answer, if it has given one. */
export function liveProgress(observation: Observation): Progress | undefined {
  const said = observation.answer?.progress;
  return said?.podUID === livePod(observation)?.metadata.uid ? said : undefined;
}

/**
 * The newest record of the trainer: the live pod's answer, else the last words of the pod that was made last.
 */
export function latestProgress(observation: Observation): Progress | undefined {
  const words = observation.pods.toSorted(byCreation).map((pod) => lastWords(pod, observation.answer?.progress));
  return liveProgress(observation) ?? words.filter((one) => one !== undefined).at(-1);
}

/** What a pod left when it ended, or its last answer if that is newer: what it left may have been cut or lost. */
function lastWords(pod: ObservedPod, answer: Progress | undefined): Progress | undefined {
  const left = lastSaid(pod)?.progress;
  const own = [answer, left].filter((one) => one?.podUID === pod.metadata.uid);
  return own.toSorted((a, b) => (a?.heartbeat ?? 0) - (b?.heartbeat ?? 0)).at(-1);
}

/** Parts of a status that are the trainer's word and nothing else. */
export const reportedFields = [
  'progress',
  'metrics',
  'data',
  'checkpoint',
  'output',
  'best',
  'stoppedEarly',
  'comparison',
  'report',
] as const satisfies (keyof DPOJobStatus)[];

type Reported = Pick<DPOJobStatus, (typeof reportedFields)[number]>;

const reportedParts = (status: DPOJobStatus = {}): Reported =>
  definedOnly(Object.fromEntries(reportedFields.map((name) => [name, status[name]])));

/**
 * A status that the API server refuses, without what it has from a pod: that must not stand in the way of the operator's
 * own part. `before`: the stored status, whose reported parts stay.
 */
export function withoutPodsWord(status: DPOJobStatus, before: DPOJobStatus | undefined): DPOJobStatus {
  const fields: readonly string[] = [...reportedFields, 'warnings'];
  const own = Object.fromEntries(Object.entries(status).filter(([name]) => !fields.includes(name)));
  const { lastFailure } = status;
  return {
    ...own,
    ...reportedParts(before),
    ...definedOnly({ warnings: before?.warnings, lastFailure: lastFailure && { ...lastFailure, message: '' } }),
  };
}

/** What status keeps of the trainer's word; what it did not say stays as it was. */
export function reported(observation: Observation): Reported {
  const before = reportedParts(observation.job.status);
  const latest = latestProgress(observation);
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
  return withoutEmpty({
    ...before,
    progress,
    metrics: { ...before.metrics, ...roundAll(latest.metrics) },
    ...definedOnly({
      data: latest.data && withoutEmpty(latest.data),
      output: latest.output,
      checkpoint: newer(before.checkpoint, latest.checkpoint),
      best: latest.best && { ...latest.best, value: round(latest.best.value) },
      stoppedEarly: latest.stoppedEarly,
      comparison: latest.comparison && roundAll(latest.comparison),
      report: latest.report,
    }),
  });
}

/** Where an applied map loses its last entry the API server makes null of it, and then refuses that. */
function withoutEmpty<T extends object>(parts: T): T {
  const isEmpty = (part: unknown): boolean => typeof part === 'object' && Object.keys(part ?? {}).length === 0;
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => !isEmpty(part))) as T;
}

/** Parts of a status without those that are undefined: the API server is told nothing of them. */
export function definedOnly(values: { [K in keyof DPOJobStatus]?: DPOJobStatus[K] | undefined }): DPOJobStatus {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as DPOJobStatus;
}
