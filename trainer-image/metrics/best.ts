import type { DPOJobSpec } from '../../crds/dpojob.ts';
import type { BestMetric } from '../../crds/progress.ts';

/** Which way a held-out figure improves. */
export const directions = {
  evalLoss: 'lower',
  evalRewardAccuracy: 'higher',
  evalRewardMargin: 'higher',
} as const satisfies Record<BestMetric, 'lower' | 'higher'>;

/** The best evaluation so far, and how many in a row did not gain on it. */
export interface Standing {
  step: number;
  value: number;
  withoutGain: number;
}

/**
 * The standing after an evaluation; undefined before the first. As in transformers' Trainer and EarlyStoppingCallback: any
 * gain makes a new best, and only a gain over the best before by more than `minDelta` begins the count of patience anew.
 */
export function judge(
  before: Standing | undefined,
  { step, value }: { step: number; value: number },
  { metric, minDelta }: { metric: BestMetric; minDelta: number },
): Standing | undefined {
  if (!Number.isFinite(value)) return before && { ...before, withoutGain: before.withoutGain + 1 };
  if (before === undefined) return { step, value, withoutGain: 0 };
  const gain = directions[metric] === 'lower' ? before.value - value : value - before.value;
  const withoutGain = gain > minDelta ? 0 : before.withoutGain + 1;
  return gain > 0 ? { step, value, withoutGain } : { ...before, withoutGain };
}

/** Whether the best step's weights are exported: what the job says, else true with early stopping, as its users expect. */
export function exportsBest({
  loadBestModelAtEnd,
  earlyStopping,
}: Pick<DPOJobSpec['evaluation'], 'loadBestModelAtEnd' | 'earlyStopping'>): boolean {
  return loadBestModelAtEnd ?? earlyStopping !== undefined;
}
