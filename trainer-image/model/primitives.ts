import { kernels, ops, type Tensor } from '../engine/engine.ts';
import { factor, joinsProducts, widened } from './products.ts';
import type { Tape } from './tape.ts';

/**
 * The primitives that architectures are composed of. Each carries its own backward, the only one in the product; tfjs's
 * automatic differentiation is their oracle in the tests. n: tokens of the micro-batch.
 */

/** How a dense weight lies: torch.nn.Linear's [out, in], or the [in, out] of GPT-2's Conv1D. */
export type WeightLayout = 'out-in' | 'in-out';

/** A dense product: x [n, in] times weight -> [n, out]. */
export interface Term {
  x: Tensor;
  weight: Tensor;
  layout?: WeightLayout;
  /** Kept for the backward rather than computed again. */
  costly?: boolean;
}

/** Sum of dense products -> [n, out], and of `sum` [n, out] where it is given: one step where products can be joined. */
export function linearSum(tape: Tape, terms: readonly Term[], sum?: Tensor): Tensor {
  const { precision } = tape;
  if (joinsProducts(precision) || (terms.length === 1 && sum === undefined)) return joined(tape, terms, sum);
  const product = terms.map((term) => joined(tape, [term], undefined)).reduce((a, b) => add(tape, a, b));
  return sum === undefined ? product : add(tape, sum, product);
}

function joined(tape: Tape, terms: readonly Term[], sum: Tensor | undefined): Tensor {
  const { precision } = tape;
  const added = sum === undefined ? [] : [sum];
  const products = terms.map(({ x, weight, layout = 'out-in' }) => ({ x, weight, outFirst: layout === 'out-in' }));
  const output = tape.run({
    inputs: [...products.flatMap(({ x, weight }) => [x, weight]), ...added],
    needs: products.map(({ x }) => x),
    needsOnlyFor: products.map(({ weight }) => weight),
    costly: terms.some(({ costly = true }) => costly),
    compute: () =>
      ops.sumOfProducts(
        products.map(({ x, weight, outFirst }) => {
          return { a: factor(precision, x), b: factor(precision, weight), transposeB: outFirst };
        }),
        sum,
      ),
    backward: (dy) => [
      ...products.flatMap(({ x, weight, outFirst }) => [
        { a: dy, b: weight, transposeB: !outFirst },
        { ...(outFirst ? { a: dy, b: x } : { a: x, b: dy }), transposeA: true },
      ]),
      ...added.map(() => dy),
    ],
  });
  return widened(tape, output);
}

/** x [n, in] times weight -> [n, out], and `sum` as in `linearSum`. */
export const linear = (
  tape: Tape,
  x: Tensor,
  weight: Tensor,
  { sum, ...how }: { layout?: WeightLayout; costly?: boolean; sum?: Tensor | undefined } = {},
): Tensor => linearSum(tape, [{ x, weight, ...how }], sum);

/** a * b, elementwise. */
export function mul(tape: Tape, a: Tensor, b: Tensor): Tensor {
  return tape.run({
    inputs: [a, b],
    needs: [a, b],
    costly: false,
    compute: () => ops.mul(a, b),
    backward: (dy) => [ops.mul(dy, b), ops.mul(dy, a)],
  });
}

/** 1 + x: Gemma's norms keep their weight's distance from one. */
export function plusOne(tape: Tape, x: Tensor): Tensor {
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => ops.add(x, ops.scalar(1)),
    backward: (dy) => [dy],
  });
}

/** Columns [from, from + count) of x [n, d] -> [n, count]: one part of projections that are stored as one. */
export function columns(tape: Tape, x: Tensor, from: number, count: number): Tensor {
  const after = (x.shape[1] as number) - from - count;
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => ops.split(x, [from, count, after], 1)[1] as Tensor,
    backward: (dy) => [ops.padColumns(dy, from, after)],
  });
}

/** x [n, d] + bias [d]. */
export function addBias(tape: Tape, x: Tensor, bias: Tensor): Tensor {
  return tape.run({
    inputs: [x, bias],
    needs: [],
    costly: false,
    compute: () => ops.add(x, bias),
    backward: (dy) => [dy, ops.sum(dy, 0, false)],
  });
}

export function add(tape: Tape, a: Tensor, b: Tensor): Tensor {
  return tape.run({
    inputs: [a, b],
    needs: [],
    costly: false,
    compute: () => ops.add(a, b),
    backward: (dy) => [dy, dy],
  });
}

/** The same values in another shape. */
export function reshape(tape: Tape, x: Tensor, shape: readonly number[]): Tensor {
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => ops.reshape(x, shape),
    backward: (dy) => [ops.reshape(dy, x.shape)],
  });
}

/** Root mean square normalisation (Zhang and Sennrich 2019, eq. 4): x [n, d] / rms(x) * weight [d]. */
export function rmsNorm(tape: Tape, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const scale = (): Tensor => ops.rsqrt(ops.add(ops.mean(ops.square(x), 1), ops.scalar(epsilon)));
  return tape.run({
    inputs: [x, weight],
    needs: [x],
    costly: false,
    compute: () => kernels()?.rmsNorm(x, weight, epsilon) ?? ops.mul(ops.mul(x, scale()), weight),
    backward: (dy) => {
      const fused = kernels();
      if (fused !== undefined) return fused.rmsNormGradient([x, weight], epsilon, dy);
      const r = scale();
      const normed = ops.mul(x, r);
      const dNormed = ops.mul(dy, weight);
      const along = ops.mul(normed, ops.mean(ops.mul(dNormed, normed), 1));
      return [ops.mul(r, ops.sub(dNormed, along)), ops.sum(ops.mul(dy, normed), 0, false)];
    },
  });
}

/** Layer normalisation (Ba et al. 2016, eq. 4): (x - mean) / deviation * weight [d] + bias [d], each row of x [n, d]. */
export function layerNorm(tape: Tape, x: Tensor, [weight, bias]: [Tensor, Tensor], epsilon: number): Tensor {
  const parts = (): { normed: Tensor; r: Tensor } => {
    const centred = ops.sub(x, ops.mean(x, 1));
    const r = ops.rsqrt(ops.add(ops.mean(ops.square(centred), 1), ops.scalar(epsilon)));
    return { normed: ops.mul(centred, r), r };
  };
  return tape.run({
    inputs: [x, weight, bias],
    needs: [x],
    costly: false,
    compute: () => ops.add(ops.mul(parts().normed, weight), bias),
    backward: (dy) => {
      const { normed, r } = parts();
      const dNormed = ops.mul(dy, weight);
      const along = ops.add(ops.mean(dNormed, 1), ops.mul(normed, ops.mean(ops.mul(dNormed, normed), 1)));
      const dWeight = ops.sum(ops.mul(dy, normed), 0, false);
      return [ops.mul(r, ops.sub(dNormed, along)), dWeight, ops.sum(dy, 0, false)];
    },
  });
}

const [geluScale, geluCube] = [Math.sqrt(2 / Math.PI), 0.044715];

/** GELU by tanh (Hendrycks and Gimpel 2016, sec. 2): x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
export function gelu(tape: Tape, x: Tensor): Tensor {
  const { add: plus, mul: times, scalar, square } = ops;
  const tanh = (): Tensor =>
    ops.tanh(times(times(x, plus(scalar(1), times(square(x), scalar(geluCube)))), scalar(geluScale)));
  return tape.run({
    inputs: [x],
    needs: [x],
    costly: false,
    compute: () => times(times(x, scalar(0.5)), plus(tanh(), scalar(1))),
    backward: (dy) => {
      const t = tanh();
      const inner = times(plus(scalar(1), times(square(x), scalar(3 * geluCube))), scalar(geluScale));
      const slope = plus(plus(t, scalar(1)), times(times(x, ops.sub(scalar(1), square(t))), inner));
      return [times(times(dy, scalar(0.5)), slope)];
    },
  });
}

/** Gated activation of SwiGLU (Shazeer 2020, eq. 6): silu(gate) * up, all [n, d]. */
export function gatedSilu(tape: Tape, gate: Tensor, up: Tensor): Tensor {
  return tape.run({
    inputs: [gate, up],
    needs: [gate, up],
    costly: false,
    compute: () => kernels()?.gatedSilu(gate, up) ?? ops.mul(ops.mul(gate, ops.sigmoid(gate)), up),
    backward: (dy) => {
      const fused = kernels();
      if (fused !== undefined) return fused.gatedSiluGradient(gate, up, dy);
      const s = ops.sigmoid(gate);
      const silu = ops.mul(gate, s);
      const slope = ops.add(s, ops.mul(silu, ops.sub(ops.scalar(1), s)));
      return [ops.mul(ops.mul(dy, up), slope), ops.mul(dy, silu)];
    },
  });
}

/** Gated activation of GeGLU (Shazeer 2020, eq. 6): gelu(gate) * up by tanh, all [n, d]. */
export function gatedGelu(tape: Tape, gate: Tensor, up: Tensor): Tensor {
  const fused = kernels();
  if (fused === undefined) return mul(tape, gelu(tape, gate), up);
  return tape.run({
    inputs: [gate, up],
    needs: [gate, up],
    costly: false,
    compute: () => fused.gatedGelu(gate, up),
    backward: (dy) => fused.gatedGeluGradient(gate, up, dy),
  });
}

/** Cosine and sine of each token's angles, [n, dimensions of a head that turn / 2]. */
export interface Rotation {
  cos: Tensor;
  sin: Tensor;
}

/**
 * Rotary position embedding (Su et al. 2021, eq. 34) in Hugging Face's arrangement, where dimension i turns with
 * i + half of those that turn; a head's dimensions after those stay: x [n, heads * headSize] -> the same shape.
 * Without a rotation x itself.
 */
export function rope(tape: Tape, x: Tensor, heads: number, rotation: Rotation | undefined): Tensor {
  if (rotation === undefined) return x;
  const [n, width] = x.shape as [number, number];
  const { cos, sin } = rotation;
  const half = cos.shape[1] as number;
  const rest = width / heads - 2 * half;
  const turn = (from: Tensor, direction: 'add' | 'sub'): Tensor => {
    const [c, s] = [ops.reshape(cos, [n, 1, half]), ops.reshape(sin, [n, 1, half])];
    const sizes = rest === 0 ? [half, half] : [half, half, rest];
    const [a, b, ...still] = ops.split(ops.reshape(from, [n, heads, width / heads]), sizes, 2) as [Tensor, Tensor];
    const other = direction === 'add' ? ops.sub : ops.add;
    const parts = [other(ops.mul(a, c), ops.mul(b, s)), ops[direction](ops.mul(b, c), ops.mul(a, s)), ...still];
    return ops.reshape(ops.concat(parts, 2), [n, width]);
  };
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => turn(x, 'add'),
    // The transpose of a rotation is the rotation back.
    backward: (dy) => [turn(dy, 'sub')],
  });
}
