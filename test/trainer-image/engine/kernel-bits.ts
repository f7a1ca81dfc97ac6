import { createHash } from 'node:crypto';
import {
  kernels,
  ops,
  read,
  scope,
  setKernels,
  tensor,
  type Kernels,
  type Tensor,
} from '../../../trainer-image/engine/engine.ts';
import type { KernelSet } from '../../../trainer-image/engine/kernel-sets.ts';
import { attention } from '../../../trainer-image/model/attention.ts';
import { gatedSilu, rmsNorm } from '../../../trainer-image/model/primitives.ts';
import { Tape } from '../../../trainer-image/model/tape.ts';

/** Prints a digest of what the kernels compute in this process, for a test that compares numbers of threads. */
setKernels(process.argv[2] as KernelSet);
const own = kernels() as Kernels;
const hash = createHash('sha256');
const values = (shape: number[], seed: number): Tensor => {
  const data = Float32Array.from({ length: (shape[0] as number) * (shape[1] as number) }, (_, i) =>
    Math.sin(seed + i * i),
  );
  return tensor(data, shape);
};

scope(() => {
  const segments = [70, 40, 90].map((prompt) => ({ prompt, completions: [50, 33] }));
  const n = segments.reduce((sum, { prompt }) => sum + prompt + 83, 0);
  const tape = new Tape('fp32');
  const x = values([n, 64], 1);
  const gain = ops.reshape(values([1, 64], 2), [64]);
  const normed = rmsNorm(tape, x, gain, 1e-5);
  const [q, k, v] = [values([n, 64], 3), values([n, 32], 4), values([n, 32], 5)];
  const attended = attention(segments)(tape, { q, k, v }, { query: 4, keyValue: 2, size: 16 });
  const result = gatedSilu(tape, normed, attended);
  const gradients = tape.gradients(result, values([n, 64], 6), [x, gain, q, k, v]);
  const places = (count: number): Tensor =>
    tensor(
      Int32Array.from({ length: 300 }, (_, i) => i % count),
      [300],
    );
  const [losses, logitGradient] = own.crossEntropy(values([300, 500], 7), places(500));
  const sum = values([400, 500], 8);
  own.addInto(sum, values([400, 500], 9));
  own.scaleInPlace(sum, 1e-3);
  own.addRowsInto(sum, values([300, 500], 10), places(7));
  // More depth than is multiplied at once, more lines than a thread has at once, and sizes that fill no panel.
  const [tall, wide] = [values([1300, 333], 11), values([333, 1300], 12)];
  const products = [
    { a: tall, b: wide },
    { a: wide, b: tall, transposeA: true, transposeB: true },
    { a: tall, b: tall, transposeA: true },
    { a: wide, b: wide, transposeB: true },
  ].flatMap((product) => own.matmul?.([product, product], undefined) ?? []);
  const state = {
    weight: values([400, 500], 13),
    m: values([400, 500], 14),
    v: ops.square(sum),
    gradient: values([400, 500], 15),
    kept: 1,
  };
  own.adamw([state], { gradientScale: 1, betas: [0.9, 0.999], rate: 0.1, epsilon: 1e-8 });
  const norm = own.sumOfSquares([state.gradient, sum]);
  const all = [norm, state.weight, state.m, state.v, ...products, result, ...gradients, losses, logitGradient, sum];
  for (const each of all) {
    const data = read(each);
    if (!data.every(Number.isFinite)) throw new Error('what is not a number hides what differs');
    hash.update(data);
  }
});
console.log(hash.digest('hex'));
