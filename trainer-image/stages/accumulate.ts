import type { Pair } from '../data/pair.ts';
import { scoreParts } from '../evaluate.ts';
import { batchTotals, needsWholeBatch, pairOutcomes, type PairOutcome } from '../loss/objective.ts';
import type { PairLogProbs, PairScores } from '../loss/scores.ts';
import { splitPairs } from '../model/groups.ts';
import type { Learner } from '../model/learner.ts';

/** An optimizer batch; `reference` in the order of `pairs`, undefined where no loss needs it. */
export interface PreferenceBatch {
  pairs: readonly Pair[];
  reference: readonly PairLogProbs[] | undefined;
}

/**
 * Adds the gradient of an optimizer batch's loss, micro-batch by micro-batch; `beat` after each, it may throw to stop.
 * Where a pair's loss depends on the whole batch, a pass without gradients goes before: the loss is computed from it.
 */
export function accumulateBatch(learner: Learner, batch: PreferenceBatch, beat: () => void): PairOutcome[] {
  const { training } = learner;
  const parts = splitPairs(batch.pairs, training.microBatchTokens);
  const totals = batchTotals(batch.pairs);
  const lossOf = (scores: readonly PairScores[], from: number): PairOutcome[] =>
    pairOutcomes(training, { scores, reference: batch.reference?.slice(from, from + scores.length), totals });
  const known = needsWholeBatch(training) ? lossOf(scoreParts(learner, parts, beat), 0) : undefined;
  const outcomes: PairOutcome[] = [];
  for (const part of parts) {
    const start = outcomes.length;
    const found = learner.accumulatePreference(part, (scores, at) => {
      const from = start + at;
      return known?.slice(from, from + scores.length) ?? lossOf(scores, from);
    });
    outcomes.push(...found);
    beat();
  }
  return outcomes;
}
