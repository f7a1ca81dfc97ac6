import type { PairLogProbs, PairScores } from './scores.ts';

/** Which pairs' numbers meet in one loss: usually all four of one pair. */
export interface Match {
  /** Pair whose chosen answer it is, and whose rejected. */
  chosen: number;
  rejected: number;
  /** Pairs whose reference stands against them. */
  chosenReference: number;
  rejectedReference: number;
}

export type Pairing = (scores: readonly PairScores[], reference: readonly PairLogProbs[]) => Match[];

const same = (i: number): Match => ({ chosen: i, rejected: i, chosenReference: i, rejectedReference: i });

/** Each pair by itself. */
export const inOrder: Pairing = (scores) => scores.map((_, i) => same(i));

/** Numbers of the pairs from the smallest value to the largest; equal ones stay in their order. */
function ranked(count: number, value: (pair: number) => number): number[] {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => value(a) - value(b));
}

const difference = ({ chosen, rejected }: PairLogProbs): number => chosen - rejected;

/**
 * Alignment by optimal transport on pairs (Melnyk et al. 2024, arXiv 2406.05882): the policy's margins in order
 * meet the reference's in order, which makes the margin distribution dominate, not each pair's own margin.
 */
export const sortedMargins: Pairing = (scores, reference) => {
  const policies = ranked(scores.length, (i) => difference((scores[i] as PairScores).logProbs));
  const references = ranked(scores.length, (i) => difference(reference[i] as PairLogProbs));
  return policies.map((pair, rank) => ({
    ...same(pair),
    chosenReference: references[rank] as number,
    rejectedReference: references[rank] as number,
  }));
};

/** The same on unpaired answers: chosen log-ratios in order meet rejected ones in order. */
export const sortedAnswers: Pairing = (scores, reference) => {
  const ratio = (side: 'chosen' | 'rejected', i: number): number =>
    (scores[i] as PairScores).logProbs[side] - (reference[i] as PairLogProbs)[side];
  const chosen = ranked(scores.length, (i) => ratio('chosen', i));
  const rejected = ranked(scores.length, (i) => ratio('rejected', i));
  return chosen.map((pair, rank) => {
    const other = rejected[rank] as number;
    return { chosen: pair, chosenReference: pair, rejected: other, rejectedReference: other };
  });
};
