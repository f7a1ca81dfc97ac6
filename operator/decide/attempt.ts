import type { DPOJobSpec } from '../../crds/dpojob.ts';
import type { Event, Observation, ObservedJob } from './observation.ts';
import { mayStillRun } from './pods.ts';
import { same } from './throttle.ts';

/** Number of the attempt that a child Job belongs to, by its name: labels may be edited by hand. */
export const attemptOf = ({ metadata }: ObservedJob): number => Number(/-(\d+)$/.exec(metadata.name)?.[1] ?? 0);

/** Whether a queue (Kueue, or somebody by hand) holds the attempt's Job back: it is suspended, and has no pod. */
export function isQueued({ jobs }: Pick<Observation, 'jobs'>): boolean {
  return jobs.some(({ metadata, spec }) => metadata.deletionTimestamp === undefined && spec?.suspend === true);
}

export interface Attempt {
  attempt: number;
  attemptStartTime?: string;
  startTime?: string;
}

/**
 * The attempt that is to run. Its clock stands still from a suspend until the Job of then is gone, and while a queue
 * holds the Job back. Until the Job of before and its pod are gone nothing new is made, since two trainers must never share
 * a checkpoint folder. The number never falls below what exists.
 */
export function presentAttempt(observation: Observation, now: string): Attempt {
  const { job, jobs } = observation;
  const { attempt: stored, attemptStartTime, startTime = now } = job.status ?? {};
  const highest = Math.max(stored ?? 0, ...jobs.map(attemptOf));
  const live = jobs.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (live !== undefined) {
    return { attempt: highest, attemptStartTime: attemptStartTime ?? now, startTime };
  }
  if (jobs.length > 0 || mayStillRun(observation)) {
    return { attempt: highest, startTime, ...(attemptStartTime === undefined ? {} : { attemptStartTime }) };
  }
  const attempt = attemptStartTime === undefined ? highest + 1 : highest;
  return { attempt, attemptStartTime: attemptStartTime ?? now, startTime };
}

/** Told when the attempt's Job has been made. */
export const started = (attempt: number): Event => ({
  type: 'Normal',
  reason: 'Started',
  message: `attempt ${attempt}`,
});

/** Says once per change that a running attempt keeps the values it was made with. */
export function keptUntilNextAttempt({ job, jobs, attemptSpec }: Observation): Event[] {
  const seen = job.status?.observedGeneration;
  const live = jobs.some(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (attemptSpec === undefined || !live || seen === undefined || seen === job.metadata.generation) {
    return [];
  }
  const values = (spec: DPOJobSpec): [string, unknown][] => [
    ['evaluation.everySteps', spec.evaluation.everySteps],
    ['checkpoint.everySteps', spec.checkpoint.everySteps],
    ['checkpoint.keep', spec.checkpoint.keep],
    ['backoffLimit', spec.backoffLimit],
    // Changed while a suspend was stored that ended before it was seen.
    ['resources', spec.resources],
    ['pod', spec.pod],
  ];
  const before = new Map(values(attemptSpec));
  const changed = values(job.spec).filter(([name, value]) => !same(before.get(name), value));
  return changed.length === 0
    ? []
    : [
        {
          type: 'Normal',
          reason: 'AppliesToNextAttempt',
          message: `${changed.map(([name]) => name).join(', ')}: the running attempt keeps its values; the next takes the new ones`,
        },
      ];
}
