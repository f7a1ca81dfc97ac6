import { splitByAnswer, type HeadRows } from '../data/layout.ts';
import type { PairTokens } from '../loss/scores.ts';

/** The values of a head call's rows, pair by pair. */
export function splitByPair(head: HeadRows, values: Float32Array): PairTokens[] {
  const answers = splitByAnswer(head, values);
  return Array.from({ length: head.to - head.from }, (_, i) => ({
    chosen: answers[2 * i] as Float32Array,
    rejected: answers[2 * i + 1] as Float32Array,
  }));
}

/** The reverse: values of the pairs' tokens in the order of the rows. */
export function joinPairs(pairs: readonly PairTokens[]): Float32Array {
  return Float32Array.from(pairs.flatMap(({ chosen, rejected }) => [...chosen, ...rejected]));
}
