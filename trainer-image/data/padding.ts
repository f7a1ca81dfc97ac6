import type { HeadRows, Layout } from './layout.ts';

/** Groups of one shape: a prompt and some answers, each filled up behind to one length. */
export interface Shape {
  groups: number;
  prompt: number;
  /** Answers of each group, and the length of each. */
  answers: number;
  answer: number;
}

/** What tells the rows of a padded layout from its padding. */
export interface Padding extends Shape {
  /** Position of each row in its own sequence; -1: padding, which nobody sees. A GPU compares whole numbers on the host alone. */
  places: Float32Array;
  /** Length of the longest sequence that each row takes part in. */
  lengths: Int32Array;
}

export const rowsOfGroup = ({ prompt, answers, answer }: Shape): number => prompt + answers * answer;

const longest = (lengths: readonly number[]): number => lengths.reduce((most, length) => Math.max(most, length), 0);

function shapeOf({ segments }: Layout, roundedUp: (length: number) => number): Shape {
  return {
    groups: segments.length,
    prompt: roundedUp(longest(segments.map(({ prompt }) => prompt))),
    answers: longest(segments.map(({ completions }) => completions.length)),
    answer: roundedUp(longest(segments.flatMap(({ completions }) => completions))),
  };
}

/** Row of the padded layout of each row. */
function placesOfRows({ segments }: Layout, shape: Shape): number[] {
  const run = (start: number, length: number): number[] => Array.from({ length }, (_, i) => start + i);
  return segments.flatMap(({ prompt, completions }, group) => {
    const start = group * rowsOfGroup(shape);
    const answers = completions.flatMap((length, i) => run(start + shape.prompt + i * shape.answer, length));
    return [...run(start, prompt), ...answers];
  });
}

/**
 * The same micro-batch with all groups brought to one shape, so that few shapes come up: prompts, and answers, are filled up
 * behind to the rounded length of the longest. What is computed of its own rows stays the same.
 */
export function padLayout(layout: Layout, lengths: Int32Array, roundedUp: (length: number) => number): Layout {
  const shape = shapeOf(layout, roundedUp);
  const to = placesOfRows(layout, shape);
  const spread = (values: Int32Array, filling: number): Int32Array => {
    const spreadOut = new Int32Array(shape.groups * rowsOfGroup(shape)).fill(filling);
    values.forEach((value, row) => (spreadOut[to[row] as number] = value));
    return spreadOut;
  };
  const moved = (head: HeadRows): HeadRows => ({ ...head, rows: head.rows.map((row) => to[row] as number) });
  return {
    tokens: spread(layout.tokens, 0),
    positions: spread(layout.positions, 0),
    segments: layout.segments,
    heads: layout.heads.map(moved),
    padding: { ...shape, places: Float32Array.from(spread(layout.positions, -1)), lengths: spread(lengths, 1) },
  };
}
