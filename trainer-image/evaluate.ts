import type { Metrics } from '../crds/progress.ts';
import type { Pair } from './data/pair.ts';
import { first, type Rows } from './data/token-rows.ts';
import { needsWholeBatch, pairOutcomes, type BatchTotals, type PairOutcome } from './loss/objective.ts';
import type { PairLogProbs, PairScores } from './loss/scores.ts';
import { eachPairBatch } from './model/groups.ts';
import type { Learner } from './model/learner.ts';

const figures = {
  loss: ({ loss }) => loss,
  rewardMargin: ({ rewards }) => rewards.chosen - rewards.rejected,
  rewardAccuracy: ({ rewards }) => Number(rewards.chosen > rewards.rejected),
  rewardChosen: ({ rewards }) => rewards.chosen,
  rewardRejected: ({ rewards }) => rewards.rejected,
  logpsChosen: ({ logProbs }) => logProbs.chosen,
  logpsRejected: ({ logProbs }) => logProbs.rejected,
} as const satisfies { [name in keyof Metrics]: (outcome: PairOutcome) => number };
const figureNames = Object.keys(figures) as (keyof typeof figures)[];

/** Mean figures of some pairs, under the names of the training metrics. */
export function summarise(outcomes: Iterable<PairOutcome>): Metrics {
  const sums = figureNames.map(() => 0);
  let count = 0;
  for (const outcome of outcomes) {
    count += 1;
    figureNames.forEach((name, i) => (sums[i] = (sums[i] as number) + figures[name](outcome)));
  }
  return Object.fromEntries(figureNames.map((name, i) => [name, (sums[i] as number) / count]));
}

/** The same figures under their held-out names: loss -> evalLoss. */
export function asHeldOut(metrics: Metrics): Metrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [`eval${name[0]?.toUpperCase()}${name.slice(1)}`, value]),
  );
}

/** What a loss knows of all pairs under the present weights; `beat` after each micro-batch. */
export function scoreParts(learner: Learner, parts: readonly Pair[][], beat: () => void): PairScores[] {
  return parts.flatMap((part) => {
    const scores = learner.scorePairs(part);
    beat();
    return scores;
  });
}

/** Pairs on which the exact KL is computed (design: at most 64). */
export const klPairs = 64;

export interface HeldOut {
  pairs: Rows<Pair>;
  totals: BatchTotals;
  /**
   * The reference's log-probabilities of some of the pairs, the first of which is number `from`; `beat` where they are
   * computed. Undefined where no loss needs it.
   */
  reference: ((batch: readonly Pair[], from: number, beat: () => void) => PairLogProbs[]) | undefined;
}

/**
 * What each held-out pair gave. The whole set is one batch, so that no loss depends on how it was split; only where a
 * pair's loss depends on the others are all pairs' scores in memory at once.
 */
function* outcomesOf(learner: Learner, heldOut: HeldOut, beat: () => void): Generator<PairOutcome> {
  const { training } = learner;
  const { pairs, totals, reference } = heldOut;
  const all: { scores: PairScores[]; reference: PairLogProbs[] } = { scores: [], reference: [] };
  let from = 0;
  for (const batch of eachPairBatch(pairs, training.microBatchTokens)) {
    const scores = learner.scorePairs(batch);
    beat();
    const known = reference?.(batch, from, beat);
    from += batch.length;
    if (needsWholeBatch(training)) {
      all.scores.push(...scores);
      all.reference.push(...(known ?? []));
    } else yield* pairOutcomes(training, { scores, reference: known, totals });
  }
  if (needsWholeBatch(training))
    yield* pairOutcomes(training, { ...all, reference: reference && all.reference, totals });
}

/** Figures of the held-out pairs under the present weights; `beat` after each micro-batch, it may throw to stop. */
export function evaluate(learner: Learner, heldOut: HeldOut, beat: () => void): Metrics {
  const metrics = summarise(outcomesOf(learner, heldOut, beat));
  let [sum, positions] = [0, 0];
  for (const pair of first(heldOut.pairs, klPairs)) {
    const part = learner.heldOutKl.measure([pair]);
    sum += part.sum;
    positions += part.positions;
    beat();
  }
  return { ...asHeldOut(metrics), evalKL: sum / positions };
}
