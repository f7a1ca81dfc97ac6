import type { Metrics } from '../crds/progress.ts';
import type { Pair } from './data/pair.ts';
import { batchTotals, pairOutcomes, type PairOutcome } from './loss/objective.ts';
import type { PairLogProbs, PairScores } from './loss/scores.ts';
import type { Learner } from './model/learner.ts';

/** Mean figures of some pairs, under the names of the training metrics. */
export function summarise(outcomes: readonly PairOutcome[]): Metrics {
  const mean = (figure: (outcome: PairOutcome) => number): number =>
    outcomes.reduce((sum, outcome) => sum + figure(outcome), 0) / outcomes.length;
  return {
    loss: mean(({ loss }) => loss),
    rewardMargin: mean(({ rewards }) => rewards.chosen - rewards.rejected),
    rewardAccuracy: mean(({ rewards }) => Number(rewards.chosen > rewards.rejected)),
    rewardChosen: mean(({ rewards }) => rewards.chosen),
    rewardRejected: mean(({ rewards }) => rewards.rejected),
    logpsChosen: mean(({ logProbs }) => logProbs.chosen),
    logpsRejected: mean(({ logProbs }) => logProbs.rejected),
  };
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
  /** Micro-batches of held-out pairs. */
  batches: readonly Pair[][];
  /** The reference's log-probabilities of one of them; `beat` where they are computed. Undefined where no loss needs it. */
  reference: ((batch: readonly Pair[], beat: () => void) => PairLogProbs[]) | undefined;
}

/** Figures of the held-out pairs under the present weights; `beat` after each micro-batch, it may throw to stop. */
export function evaluate(learner: Learner, { batches, reference }: HeldOut, beat: () => void): Metrics {
  const { training } = learner;
  const scores = scoreParts(learner, batches, beat);
  const pairs = batches.flat();
  // The whole held-out set is one batch: no loss depends on how it was split.
  const outcomes = pairOutcomes(training, {
    scores,
    reference: reference && batches.flatMap((batch) => reference(batch, beat)),
    totals: batchTotals(pairs),
  });
  let [sum, positions] = [0, 0];
  for (const pair of pairs.slice(0, klPairs)) {
    const part = learner.heldOutKl.measure([pair]);
    sum += part.sum;
    positions += part.positions;
    beat();
  }
  return { ...asHeldOut(summarise(outcomes)), evalKL: sum / positions };
}
