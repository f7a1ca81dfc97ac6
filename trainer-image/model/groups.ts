import {
  eachMicroBatch,
  groupTokens,
  layOut,
  microBatches,
  sumOf,
  type Group,
  type Layout,
  type Measure,
} from '../data/layout.ts';
import { padLayout } from '../data/padding.ts';
import type { Example, Pair } from '../data/pair.ts';
import { noteRows, roundedUp, roundsShapes } from '../engine/engine.ts';
import { sequenceLengths } from './rope.ts';

/** Positions of one head call at once: bounds [positions, vocabulary] logits. */
export const headRows = 700;

const pairGroup = (pair: Pair): Group => ({ prompt: pair.prompt, completions: [pair.chosen, pair.rejected] });
const exampleGroup = (example: Example): Group => ({ prompt: example.prompt, completions: [example.completion] });

/** Groups at their own lengths, or all at the longest's, rounded up. */
function layOutGroups(groups: readonly Group[], rows: number): Layout {
  const exact = layOut(groups, rows);
  const layout = roundsShapes() ? padLayout(exact, sequenceLengths(exact.segments), roundedUp) : exact;
  noteRows(exact.tokens.length, layout.tokens.length);
  return layout;
}

/** Layout of some pairs; `rows` bounds the positions of one head call. */
export function layOutPairs(pairs: readonly Pair[], rows = headRows): Layout {
  return layOutGroups(pairs.map(pairGroup), rows);
}
export function layOutExamples(examples: readonly Example[]): Layout {
  return layOutGroups(examples.map(exampleGroup), headRows);
}

/** Tokens that a pair or an example costs: the prompt counts once. */
export const pairTokens = (pair: Pair): number => groupTokens(pairGroup(pair));
export const exampleTokens = (example: Example): number => groupTokens(exampleGroup(example));

/** Tokens of a micro-batch as it will be laid out. */
function measureOf<T>(groupOf: (item: T) => Group): Measure<T> {
  return roundsShapes() ? () => paddedTokens(groupOf) : sumOf((item) => groupTokens(groupOf(item)));
}

function paddedTokens<T>(groupOf: (item: T) => Group): (item: T) => number {
  let [groups, prompt, answer] = [0, 0, 0];
  return (item) => {
    const group = groupOf(item);
    groups += 1;
    prompt = Math.max(prompt, roundedUp(group.prompt.length));
    answer = Math.max(answer, ...group.completions.map(({ length }) => roundedUp(length)));
    return groups * (prompt + group.completions.length * answer);
  };
}

/** Splits pairs or examples, in their order, by the token budget `training.microBatchTokens`. */
export const eachPairBatch = (pairs: Iterable<Pair>, budget: number): Generator<Pair[]> =>
  eachMicroBatch(pairs, measureOf(pairGroup), budget);
export const eachExampleBatch = (examples: Iterable<Example>, budget: number): Generator<Example[]> =>
  eachMicroBatch(examples, measureOf(exampleGroup), budget);

/** The same of an optimizer batch, which is in memory. */
export function splitPairs(pairs: readonly Pair[], budget: number): Pair[][] {
  return microBatches(pairs, measureOf(pairGroup), budget);
}
export function splitExamples(examples: readonly Example[], budget: number): Example[][] {
  return microBatches(examples, measureOf(exampleGroup), budget);
}
