import { discarded, type Lengths } from './cases.ts';
import type { StepFigures } from './side.ts';
import { tokensOf } from './work.ts';

export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1] as number, sorted[sorted.length >> 1] as number];
  return (low + high) / 2;
}

const counted = <T>(rounds: readonly T[]): T[] => rounds.slice(discarded);

/** What a side did in the rounds that count. */
export interface Speed {
  pairsPerSecond: number;
  /** Tokens with each prompt once: the same count for both sides. */
  tokensPerSecond: number;
  seconds: number;
  cpuSeconds: number;
  peakMiB: number;
}

export function speedOf(steps: readonly (readonly Lengths[])[], taken: readonly StepFigures[]): Speed {
  const seconds = sum(counted(taken).map((step) => step.seconds));
  const pairs = counted(steps).flat();
  return {
    pairsPerSecond: pairs.length / seconds,
    tokensPerSecond: tokensOf(pairs) / seconds,
    seconds,
    cpuSeconds: sum(counted(taken).map((step) => step.cpuSeconds)),
    peakMiB: Math.max(...taken.map((step) => step.peakMiB)),
  };
}

/** How many times faster: of each counted round, and of all together. */
export interface Ratio {
  median: number;
  least: number;
  most: number;
  overall: number;
}

/** `of` the steps of the slower by `of` those of the faster, round by round. */
export function ratioOf(
  slower: readonly StepFigures[],
  faster: readonly StepFigures[],
  of: (step: StepFigures) => number,
): Ratio {
  const [theirs, ours] = [counted(slower).map(of), counted(faster).map(of)];
  const rounds = theirs.map((value, i) => value / (ours[i] as number));
  const overall = sum(theirs) / sum(ours);
  return { median: median(rounds), least: Math.min(...rounds), most: Math.max(...rounds), overall };
}
