import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { Dual } from './dual.ts';
import { losses } from './losses.ts';
import type { PairLogProbs, PairScores } from './scores.ts';

/** Some pairs of an optimizer batch, or all of them. */
export interface ScoredPairs {
  scores: readonly PairScores[];
  /** In the order of `scores`. */
  reference: readonly PairLogProbs[];
  /** Pairs of the whole batch: the batch's loss is their mean, whatever part is given here. */
  totalPairs: number;
}

/** What one pair gave. */
export interface PairOutcome extends PairScores {
  loss: number;
  /** Beta times the log-ratios against the reference (Rafailov et al. 2023, sec. 4). */
  rewards: PairLogProbs;
  /** Derivatives of the batch's loss by this pair's log-probabilities. */
  slopes: PairLogProbs;
}

type Training = DPOJobSpec['training'];

/** The configured loss of each pair. Pure: numbers in, numbers out. */
export function pairOutcomes(training: Training, { scores, reference, totalPairs }: ScoredPairs): PairOutcome[] {
  return scores.map((score, i) => {
    const { logProbs } = score;
    const base = reference[i] as PairLogProbs;
    const chosen = new Dual(logProbs.chosen - base.chosen, 1, 0);
    const rejected = new Dual(logProbs.rejected - base.rejected, 0, 1);
    const loss = training.loss
      .map(({ type, weight }) => losses[type]({ chosen, rejected }, training).times(weight))
      .reduce((sum, term) => sum.plus(term));
    return {
      ...score,
      loss: loss.value,
      rewards: { chosen: training.beta * chosen.value, rejected: training.beta * rejected.value },
      slopes: { chosen: loss.chosen / totalPairs, rejected: loss.rejected / totalPairs },
    };
  });
}

/** The loss that these pairs have where policy and reference are equal: what the first step must begin with. */
export function lossAtZeroMargin(training: Training, scores: readonly PairScores[]): number {
  const reference = scores.map(({ logProbs }) => logProbs);
  const outcomes = pairOutcomes(training, { scores, reference, totalPairs: scores.length });
  return outcomes.reduce((sum, { loss }) => sum + loss, 0) / scores.length;
}
