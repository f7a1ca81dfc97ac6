import { readFileSync } from 'node:fs';
import { specSchema, type DPOJobSpec } from '../../crds/dpojob.ts';
import type { Pair } from '../../trainer-image/data/pair.ts';
import { batchTotals, pairOutcomes, type PairOutcome } from '../../trainer-image/loss/objective.ts';
import { sumTokens, type PairLogProbs } from '../../trainer-image/loss/scores.ts';
import type { Learner, Training } from '../../trainer-image/model/learner.ts';

/** TRL's own numbers (test/golden/trl): a fixed batch of eight pairs, its log-probabilities, loss and gradient. */
export const goldenFolder = 'test/golden/trl';

interface Batch {
  pairs: { row: number; prompt: number[]; chosen: number[]; rejected: number[] }[];
  /** Sums per sequence: the chosen answers, then the rejected ones. */
  logps: Record<'policy' | 'reference' | 'policy64' | 'reference64', number[]>;
  sigmoid: { loss: number; gradNorm: number; metrics: Record<string, number> };
  beta: Record<string, { loss: number; gradNorm: number }>;
}

export const golden = JSON.parse(readFileSync(`${goldenFolder}/batch.json`, 'utf8')) as Batch;

export const goldenPairs: Pair[] = golden.pairs.map(({ row, ...parts }) => ({
  row,
  prompt: Int32Array.from(parts.prompt),
  chosen: Int32Array.from(parts.chosen),
  rejected: Int32Array.from(parts.rejected),
}));

/** A job's spec that sets only these. */
export function specOf(settings: object = {}): DPOJobSpec {
  return specSchema.parse({
    model: { source: 'pvc://models/tiny' },
    dataset: { source: 'pvc://data/pairs.jsonl' },
    output: { source: 'pvc://models/out' },
    ...settings,
  });
}

/** The training settings of a job that sets only these; in float32 also on a GPU, as the numbers compared with are. */
export const trainingOf = (settings: object = {}): Training =>
  specOf({ training: { precision: 'fp32', ...settings } }).training;

/** Summed log-probabilities of the pairs' answers. */
export const logProbs = (learner: Learner, pairs: readonly Pair[]): PairLogProbs[] =>
  learner.tokenLogProbs(pairs).map((tokens) => sumTokens(tokens));

/** Loss and rewards of some pairs, and their gradient added up; `batch`: all pairs of the optimizer batch. */
export function accumulate(
  learner: Learner,
  pairs: readonly Pair[],
  reference: readonly PairLogProbs[] | undefined,
  batch = pairs,
): PairOutcome[] {
  return learner.accumulatePreference(pairs, (scores, from) =>
    pairOutcomes(learner.training, { scores, reference: reference?.slice(from), totals: batchTotals(batch) }),
  );
}

/** Loss and rewards of some pairs, without gradients. */
export const outcomesOf = (
  learner: Learner,
  pairs: readonly Pair[],
  reference: readonly PairLogProbs[],
): PairOutcome[] =>
  pairOutcomes(learner.training, { scores: learner.scorePairs(pairs), reference, totals: batchTotals(pairs) });

/** Largest difference between two lists at the same place; NaN where the second is shorter. */
export const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (value, i) => Math.abs(value - (b[i] as number))).reduce((x, y) => Math.max(x, y), 0);

/** Relative L2 distance |a - b| / |b|. */
export function relativeDistance(a: Float32Array, b: Float32Array): number {
  let [difference, size] = [0, 0];
  b.forEach((value, i) => {
    difference += ((a[i] as number) - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}
