import { tensor, type Tensor } from '../../../trainer-image/engine/engine.ts';

/** Values between -2 and 2, the same at every run. */
export const values = (shape: readonly number[], seed: number): Float32Array =>
  Float32Array.from(
    { length: shape.reduce((a, b) => a * b, 1) },
    (_, i) => 2 * Math.sin(1.7 * i + seed + 0.001 * i * i),
  );
/** A tensor of them. */
export const made = (shape: readonly number[], seed: number): Tensor => tensor(values(shape, seed), shape);
