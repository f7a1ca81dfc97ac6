import type { Padding } from './padding.ts';

/**
 * The layout of a micro-batch: all tokens in one [tokens, hidden] matrix without padding. Each group is a prompt followed
 * by its answers, and the prompt is computed once for all of them.
 */
export interface Group {
  prompt: Int32Array;
  /** Two for a preference pair (chosen, rejected), one for fine-tuning; none is empty. */
  completions: readonly Int32Array[];
}

/** Lengths of a group's parts: what attention must know. */
export interface Segments {
  prompt: number;
  completions: readonly number[];
}

/** Positions whose next token belongs to an answer, of some whole groups. */
export interface HeadRows {
  /** First group and the one after the last. */
  from: number;
  to: number;
  /** Row in the [tokens, hidden] matrix -> the token it must predict, for each position. */
  rows: Int32Array;
  labels: Int32Array;
  /** Positions of each answer in the order of the rows: group by group, and in it answer by answer. */
  lengths: readonly number[];
}

export interface Layout {
  tokens: Int32Array;
  /** Position of each token in its own sequence: an answer goes on where its prompt ended. */
  positions: Int32Array;
  segments: readonly Segments[];
  heads: readonly HeadRows[];
  /** Where the groups have been brought to one shape. */
  padding?: Padding;
}

/** Tokens of a group in the layout. */
export function groupTokens(group: Group): number {
  return group.completions.reduce((sum, completion) => sum + completion.length, group.prompt.length);
}

/**
 * Lays groups out one after the other. `headRows` bounds the positions of one head call, since [positions, vocabulary]
 * logits exist at once; a group is never split.
 * Throws RangeError when a prompt or an answer is empty: nothing precedes, or follows, that could be predicted.
 */
export function layOut(groups: readonly Group[], headRows: number): Layout {
  const tokens = new Int32Array(groups.reduce((sum, group) => sum + groupTokens(group), 0));
  const positions = new Int32Array(tokens.length);
  const starts: number[] = [];
  let at = 0;
  const place = (part: Int32Array, firstPosition: number): void => {
    tokens.set(part, at);
    for (let i = 0; i < part.length; i++) positions[at + i] = firstPosition + i;
    at += part.length;
  };
  for (const { prompt, completions } of groups) {
    if (prompt.length === 0 || completions.some((completion) => completion.length === 0)) {
      throw new RangeError('a prompt and its answers must not be empty');
    }
    starts.push(at);
    place(prompt, 0);
    for (const completion of completions) place(completion, prompt.length);
  }
  const segments = groups.map(({ prompt, completions }) => ({
    prompt: prompt.length,
    completions: completions.map((completion) => completion.length),
  }));
  return { tokens, positions, segments, heads: headsOf(groups, starts, headRows) };
}

function headsOf(groups: readonly Group[], starts: readonly number[], limit: number): HeadRows[] {
  const sizes = groups.map((group) => groupTokens(group) - group.prompt.length);
  const heads: HeadRows[] = [];
  for (let from = 0; from < groups.length;) {
    let to = from + 1;
    let rows = sizes[from] as number;
    while (to < groups.length && rows + (sizes[to] as number) <= limit) rows += sizes[to++] as number;
    heads.push(headOf(groups, starts, from, to));
    from = to;
  }
  return heads;
}

function headOf(groups: readonly Group[], starts: readonly number[], from: number, to: number): HeadRows {
  const rows: number[] = [];
  const labels: number[] = [];
  for (let g = from; g < to; g++) {
    const { prompt, completions } = groups[g] as Group;
    let start = (starts[g] as number) + prompt.length;
    completions.forEach((completion) => {
      completion.forEach((label, i) => {
        // The prompt's last token predicts the first token of every answer.
        rows.push(i === 0 ? (starts[g] as number) + prompt.length - 1 : start + i - 1);
        labels.push(label);
      });
      start += completion.length;
    });
  }
  const lengths = groups.slice(from, to).flatMap(({ completions }) => completions.map(({ length }) => length));
  return { from, to, rows: Int32Array.from(rows), labels: Int32Array.from(labels), lengths };
}

/** Cuts values of a head call's rows into those of each answer, in the order of `lengths`. */
export function splitByAnswer({ lengths }: HeadRows, values: Float32Array): Float32Array[] {
  let at = 0;
  return lengths.map((length) => values.subarray(at, (at += length)));
}

/** Begins to measure a micro-batch: what it returns gives the tokens of the micro-batch with one item more. */
export type Measure<T> = () => (item: T) => number;

/** Items that cost what they have, whatever stands beside them. */
export const sumOf =
  <T>(tokensOf: (item: T) => number): Measure<T> =>
  () => {
    let sum = 0;
    return (item) => (sum += tokensOf(item));
  };

/** Splits items, in their order, into micro-batches of at most `budget` tokens, and at least one item each. */
export function* eachMicroBatch<T>(items: Iterable<T>, measure: Measure<T>, budget: number): Generator<T[]> {
  let batch: T[] = [];
  let tokensWith = measure();
  for (const item of items) {
    if (tokensWith(item) > budget && batch.length > 0) {
      yield batch;
      [batch, tokensWith] = [[], measure()];
      tokensWith(item);
    }
    batch.push(item);
  }
  if (batch.length > 0) yield batch;
}

/** All of them at once, for a batch that is in memory. */
export const microBatches = <T>(items: readonly T[], measure: Measure<T>, budget: number): T[][] => [
  ...eachMicroBatch(items, measure, budget),
];
