import { eachMicroBatch, groupTokens, layOut, microBatches, type Group, type Layout } from '../data/layout.ts';
import type { Example, Pair } from '../data/pair.ts';

/** Positions of one head call at once: bounds [positions, vocabulary] logits. */
export const headRows = 700;

const pairGroup = (pair: Pair): Group => ({ prompt: pair.prompt, completions: [pair.chosen, pair.rejected] });
const exampleGroup = (example: Example): Group => ({ prompt: example.prompt, completions: [example.completion] });

/** Layout of some pairs; `rows` bounds the positions of one head call. */
export function layOutPairs(pairs: readonly Pair[], rows = headRows): Layout {
  return layOut(pairs.map(pairGroup), rows);
}
export function layOutExamples(examples: readonly Example[]): Layout {
  return layOut(examples.map(exampleGroup), headRows);
}

/** Tokens that a pair or an example costs: the prompt counts once. */
export const pairTokens = (pair: Pair): number => groupTokens(pairGroup(pair));
export const exampleTokens = (example: Example): number => groupTokens(exampleGroup(example));

/** Splits pairs or examples, in their order, by the token budget `training.microBatchTokens`. */
export const eachPairBatch = (pairs: Iterable<Pair>, budget: number): Generator<Pair[]> =>
  eachMicroBatch(pairs, pairTokens, budget);
export const eachExampleBatch = (examples: Iterable<Example>, budget: number): Generator<Example[]> =>
  eachMicroBatch(examples, exampleTokens, budget);

/** The same of an optimizer batch, which is in memory. */
export function splitPairs(pairs: readonly Pair[], budget: number): Pair[][] {
  return microBatches(pairs, pairTokens, budget);
}
export function splitExamples(examples: readonly Example[], budget: number): Example[][] {
  return microBatches(examples, exampleTokens, budget);
}
