import { splitByAnswer, type HeadRows } from '../data/layout.ts';
import { pairScores, type PairScores, type PairTokens } from '../loss/scores.ts';
import type { RowValues } from './head.ts';

/** The values of a head call's rows, pair by pair. */
export function splitByPair(head: HeadRows, values: Float32Array): PairTokens[] {
  const answers = splitByAnswer(head, values);
  return Array.from({ length: head.to - head.from }, (_, i) => ({
    chosen: answers[2 * i] as Float32Array,
    rejected: answers[2 * i + 1] as Float32Array,
  }));
}

/** What a loss knows of a head call's pairs. */
export function scoresOf(head: HeadRows, { logProbs, logSumSquares }: RowValues, ldAlpha?: number): PairScores[] {
  const squares = logSumSquares && splitByPair(head, logSumSquares);
  return splitByPair(head, logProbs).map((tokens, i) => pairScores(tokens, ldAlpha, squares?.[i]));
}

/** The reverse: values of the pairs' tokens in the order of the rows. */
export function joinPairs(pairs: readonly PairTokens[]): Float32Array {
  return Float32Array.from(pairs.flatMap(({ chosen, rejected }) => [...chosen, ...rejected]));
}
