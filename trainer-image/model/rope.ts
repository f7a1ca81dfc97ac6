import type { Segments } from '../data/layout.ts';
import { tensor } from '../engine/engine.ts';
import type { Rotation } from './primitives.ts';

/**
 * How rotary position embedding turns a head's dimensions (Su et al. 2021, sec. 3.2.2), for a sequence of the given
 * length: most forms ignore the length. All numbers are rounded to float32 where torch rounds them: at position 10,000
 * double precision differs in the third digit of an angle.
 */
export type Rope = (length: number) => {
  /** Angle per position of each pair of dimensions: half as many as dimensions that turn. */
  frequencies: readonly number[];
  /** Factor of cosine and sine, which makes attention sharper in stretched models. */
  attention: number;
};

/**
 * Length of the longest sequence that each row takes part in, by which `dynamic` and `longrope` choose. transformers
 * takes the longest of the whole batch; by group the result does not depend on how pairs were batched.
 */
export function sequenceLengths(segments: readonly Segments[]): Int32Array {
  return Int32Array.from(
    segments.flatMap(({ prompt, completions }) => {
      const rows = completions.reduce((sum, length) => sum + length, prompt);
      return Array<number>(rows).fill(prompt + Math.max(0, ...completions));
    }),
  );
}

/** Cosine and sine of each row's angles, [n, turned dimensions / 2], from its position and its sequence's length. */
export function rotationOf(rope: Rope, positions: Int32Array, lengths: Int32Array): Rotation {
  const byLength = new Map([...new Set(lengths)].map((length) => [length, rope(length)]));
  const half = rope(1).frequencies.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  positions.forEach((position, row) => {
    const { frequencies, attention } = byLength.get(lengths[row] as number) as ReturnType<Rope>;
    frequencies.forEach((frequency, i) => {
      const angle = Math.fround(position * frequency);
      cos[row * half + i] = Math.fround(Math.cos(angle)) * attention;
      sin[row * half + i] = Math.fround(Math.sin(angle)) * attention;
    });
  });
  const shape = [positions.length, half];
  return { cos: tensor(cos, shape), sin: tensor(sin, shape) };
}
