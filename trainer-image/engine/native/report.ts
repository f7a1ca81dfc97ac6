import { free, ops, scope, read, tensor, tensorFlowVersion, usesGpu } from '../engine.ts';

const [rows, inner, columns] = [2048, 576, 1536];

/** Best fp32 rate of a 2048x576x1536 product in GFLOP/s: the yardstick that the benchmarks use too. */
export function matmulRate(rounds = 8): number {
  return scope(() => {
    const a = tensor(new Float32Array(rows * inner).fill(0.5), [rows, inner]);
    const b = tensor(new Float32Array(inner * columns).fill(0.5), [inner, columns]);
    let best = Infinity;
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      const product = ops.matmul(a, b);
      best = Math.min(best, performance.now() - started);
      if (round === 0 && read(product)[0] !== inner / 4) throw new Error('the matrix product is wrong');
      free(product);
    }
    return (2 * rows * inner * columns) / best / 1e6;
  });
}

/** Prints what `npm run engine` ends with. */
export function report(): void {
  const rate = matmulRate().toFixed(0);
  console.log(`engine: TensorFlow ${tensorFlowVersion()} on ${usesGpu() ? 'GPU' : 'CPU'}, matmul ${rate} GFLOP/s`);
}
