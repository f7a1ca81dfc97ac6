import { Random } from '../../examples/data/random.ts';
import type { Pair } from '../../trainer-image/data/pair.ts';
import { batchTotals, pairOutcomes } from '../../trainer-image/loss/objective.ts';
import { splitPairs } from '../../trainer-image/model/groups.ts';
import { Learner, type Training } from '../../trainer-image/model/learner.ts';
import { ops, read, scope, tensor } from '../../trainer-image/engine/engine.ts';
import type { Lengths } from '../bench/cases.ts';
import { stepWork, tokensOf, type ModelShape } from '../bench/work.ts';

/** Pairs of these lengths, of tokens drawn from a seed. */
export function pairsOf(lengths: readonly Lengths[], vocabulary: number): Pair[] {
  const random = new Random(11);
  const draw = (length: number): Int32Array =>
    Int32Array.from({ length }, () => Math.floor(random.next() * vocabulary));
  return lengths.map(([prompt, chosen, rejected], row) => {
    return { row, prompt: draw(prompt), chosen: draw(chosen), rejected: draw(rejected) };
  });
}

/** An optimizer step without a reference model: what training costs when the reference was computed before. */
export function takeStep(learner: Learner, pairs: readonly Pair[], step: number): void {
  const totals = batchTotals(pairs);
  for (const part of splitPairs(pairs, learner.training.microBatchTokens)) {
    learner.accumulatePreference(part, (scores) =>
      pairOutcomes(learner.training, { scores, reference: scores.map(({ logProbs }) => logProbs), totals }),
    );
  }
  // Reads the gradient's norm: all that was queued on the device is done then.
  learner.update(step, 1e-6);
}

export interface Throughput {
  pairsPerSecond: number;
  tokensPerSecond: number;
  /** Of work that must be done (test/bench/work.ts), per second. */
  flops: number;
}

/** Steps on these pairs: some to record and to warm up, then `steps` that count. */
export function measure(
  folder: string,
  training: Training,
  { lengths, shape, steps }: { lengths: readonly Lengths[]; shape: ModelShape; steps: number },
): Throughput {
  const learner = new Learner(folder, training);
  learner.startStage();
  const pairs = pairsOf(lengths, shape.vocab_size);
  for (let step = 1; step <= 2; step++) takeStep(learner, pairs, step);
  const started = performance.now();
  for (let step = 3; step < 3 + steps; step++) takeStep(learner, pairs, step);
  const seconds = (performance.now() - started) / 1000 / steps;
  learner.network.variables.forEach((variable) => variable.dispose());
  return {
    pairsPerSecond: pairs.length / seconds,
    tokensPerSecond: tokensOf(lengths) / seconds,
    flops: stepWork(lengths, shape) / seconds,
  };
}

/** Best rate of ten products of [size, size] in a precision, floating point operations per second. */
export function matmulRate(precision: 'fp32' | 'bf16', size: number): number {
  return scope(() => {
    const values = tensor(new Float32Array(size * size).fill(1e-3), [size, size]);
    const x = precision === 'bf16' ? ops.cast(values, 'bfloat16') : values;
    const seconds = Array.from({ length: 10 }, () => {
      const started = performance.now();
      scope(() => read(ops.sum(ops.sum(ops.cast(ops.matmul(x, x), 'float32'), 1, false), 0, false)));
      return (performance.now() - started) / 1000;
    });
    return (2 * size ** 3) / Math.min(...seconds);
  });
}
