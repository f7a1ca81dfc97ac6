import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { needsReference } from '../../crds/losses.ts';
import { divergences } from './divergence.ts';
import { Dual } from './dual.ts';
import { losses, type Loss } from './losses.ts';
import { inOrder, type Match } from './pairing.ts';
import type { PairLogProbs, PairScores, PairSlopes } from './scores.ts';

type Training = DPOJobSpec['training'];

/** Sizes of a whole optimizer batch, over which its loss is a mean: any split into micro-batches gives the same. */
export interface BatchTotals {
  pairs: number;
  chosenTokens: number;
}

/** Some pairs of an optimizer batch; all of them where `needsWholeBatch`. */
export interface ScoredPairs {
  scores: readonly PairScores[];
  /** In the order of `scores`; undefined where no loss needs it. */
  reference: readonly PairLogProbs[] | undefined;
  totals: BatchTotals;
}

/** What one pair gave. */
export interface PairOutcome extends PairScores {
  /** The batch's loss is the mean of its pairs'. */
  loss: number;
  /**
   * Beta times the log-ratios against the reference (Rafailov et al. 2023, sec. 4); without a reference beta times the
   * log-probabilities, summed or averaged as the loss has them (TRL's CPOTrainer and ORPOTrainer).
   */
  rewards: PairLogProbs;
  /** Derivatives of the batch's loss. */
  slopes: PairSlopes;
}

export function batchTotals(pairs: Iterable<{ chosen: { length: number } }>): BatchTotals {
  const totals = { pairs: 0, chosenTokens: 0 };
  for (const { chosen } of pairs) {
    totals.pairs += 1;
    totals.chosenTokens += chosen.length;
  }
  return totals;
}

/** Whether the loss of a pair depends on the other pairs of its optimizer batch. */
export const needsWholeBatch = (training: Training): boolean =>
  training.loss.some(({ type }) => losses[type].pairing !== undefined);

/** The configured loss of each pair, with its gradient. Pure: numbers in, numbers out. */
export function pairOutcomes(training: Training, batch: ScoredPairs): PairOutcome[] {
  const outcomes = batch.scores.map((score, i) => ({
    ...score,
    loss: 0,
    rewards: rewards(training, score, batch.reference?.[i]),
    slopes: { chosen: 0, rejected: 0, likelihood: 0 },
  }));
  for (const { type, weight } of training.loss) {
    addPreference(outcomes, { loss: losses[type], weight, training, batch });
    addLikelihood(outcomes, (losses[type].likelihood?.(training) ?? 0) * weight, batch.totals);
  }
  return outcomes;
}

/** The loss that these pairs have where policy and reference are equal: what the first step must begin with. */
export function lossAtZeroMargin(training: Training, scores: readonly PairScores[]): number {
  const reference = needsReference(training) ? scores.map(({ logProbs }) => logProbs) : undefined;
  const chosenTokens = scores.reduce((sum, { lengths }) => sum + lengths.chosen, 0);
  const outcomes = pairOutcomes(training, { scores, reference, totals: { pairs: scores.length, chosenTokens } });
  return outcomes.reduce((sum, { loss }) => sum + loss, 0) / scores.length;
}

interface Term {
  loss: Loss;
  weight: number;
  training: Training;
  batch: ScoredPairs;
}

function addPreference(outcomes: readonly PairOutcome[], { loss, weight, training, batch }: Term): void {
  const { preference, pairing = inOrder } = loss;
  if (preference === undefined) return;
  const { scores, reference = [], totals } = batch;
  for (const match of pairing(scores, reference)) {
    const chosen = outcomes[match.chosen] as PairOutcome;
    const rejected = outcomes[match.rejected] as PairOutcome;
    const value = preference(termsOf(match, training, batch), training).times(weight * chosen.weight);
    chosen.loss += value.value;
    chosen.slopes.chosen += value.chosen / totals.pairs;
    rejected.slopes.rejected += value.rejected / totals.pairs;
  }
}

function termsOf(match: Match, training: Training, { scores, reference }: ScoredPairs) {
  const { logProbs: own, lengths } = scores[match.chosen] as PairScores;
  const { logProbs: other, lengths: otherLengths } = scores[match.rejected] as PairScores;
  const score = divergences[training.fDivergence];
  const [base, otherBase] = [reference?.[match.chosenReference], reference?.[match.rejectedReference]];
  return {
    chosen: score(new Dual(own.chosen - (base?.chosen ?? 0), 1, 0), training),
    rejected: score(new Dual(other.rejected - (otherBase?.rejected ?? 0), 0, 1), training),
    lengths: { chosen: lengths.chosen, rejected: otherLengths.rejected },
  };
}

/** Cross-entropy of the chosen answers: minus the mean log-probability of the batch's chosen tokens, as TRL's `sft`. */
function addLikelihood(outcomes: readonly PairOutcome[], weight: number, { pairs, chosenTokens }: BatchTotals): void {
  for (const outcome of outcomes) {
    outcome.loss -= (weight * outcome.likelihood * pairs) / chosenTokens;
    outcome.slopes.likelihood -= weight / chosenTokens;
  }
}

function rewards(training: Training, { logProbs, lengths }: PairScores, reference?: PairLogProbs): PairLogProbs {
  const averages = training.loss.some(({ type }) => losses[type].averages);
  const reward = (side: keyof PairLogProbs): number => {
    if (reference !== undefined) return training.beta * (logProbs[side] - reference[side]);
    return (training.beta * logProbs[side]) / (averages ? lengths[side] : 1);
  };
  return { chosen: reward('chosen'), rejected: reward('rejected') };
}
