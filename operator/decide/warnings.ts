import type { DPOJobStatus } from '../../crds/status.ts';
import { maxWarnings } from '../../crds/progress.ts';
import type { Progress } from '../../crds/progress.ts';
import type { Event, Observation } from './observation.ts';
import { isWaitReason } from '../../crds/conditions.ts';
import { storedCondition } from './conditions.ts';
import { latestProgress } from './progress.ts';
import { freshEnds, priceOf } from './retry.ts';

type Warnings = NonNullable<DPOJobStatus['warnings']>;

/** What the trainer warned of for the first time: once per reason, whatever it says again after a restart. */
function fresh(before: Warnings, said: Progress['warnings']): Warnings {
  const known = new Set(before.map(({ reason }) => reason));
  return said
    .filter(({ reason }) => !known.has(reason) && known.add(reason))
    .slice(0, Math.max(0, maxWarnings - before.length));
}

/** Warnings of the trainer that status does not have yet. */
export function newWarnings(observation: Observation): Warnings {
  return fresh(observation.job.status?.warnings ?? [], latestProgress(observation)?.warnings ?? []);
}

/** The same as Events. Status remembers their reasons, so that each is told once in a job's life. */
export function warningEvents(observation: Observation): Event[] {
  return newWarnings(observation).map((warning) => ({ type: 'Warning', ...warning }));
}

/** Told once, when the trainer says for the first time that evaluation.earlyStopping ended its training. */
export function earlyStopEvents(observation: Observation): Event[] {
  const said = latestProgress(observation)?.stoppedEarly;
  if (said === undefined || observation.job.status?.stoppedEarly !== undefined) return [];
  return [{ type: 'Normal', reason: 'StoppedEarly', message: `step ${said.step}: ${said.message}` }];
}

/** Each pod that ended without finishing the job, once: why, and whether its replacement is free. */
export function endEvents(observation: Observation): Event[] {
  const { backoffLimit } = observation.job.spec;
  return freshEnds(observation).map((ended) => {
    const price = priceOf(ended);
    const costs = {
      free: 'the restart is free',
      counted: `counts against backoffLimit (${backoffLimit})`,
      final: 'a restart would not help',
    };
    return {
      type: price === 'free' ? 'Normal' : 'Warning',
      reason: ended.reason,
      message: `pod ${ended.pod} ended: ${ended.message}; ${costs[price]}`,
    };
  });
}

/** Told once each time when something begins to keep the trainer from running. */
export function waitEvents({ job }: Observation, { conditions = [] }: DPOJobStatus): Event[] {
  const ready = conditions.find(({ type }) => type === 'PodsReady');
  if (ready === undefined || ready.reason === storedCondition(job, 'PodsReady')?.reason) return [];
  const { reason, message } = ready;
  if (reason === 'Queued') return [{ type: 'Normal', reason, message }];
  return isWaitReason(reason) ? [{ type: 'Warning', reason, message }] : [];
}
