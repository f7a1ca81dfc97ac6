import { constant, ops, type Tensor } from '../engine/engine.ts';
import { add, linear, linearSum, type Term, type WeightLayout } from './primitives.ts';
import { joinsProducts, product } from './products.ts';
import type { AdapterUse, Tape } from './tape.ts';

/** Weights of one dense layer's adapter. */
export interface Adapter {
  /** [rank, in] and [out, rank]. */
  a: Tensor;
  b: Tensor;
  /** DoRA's magnitude of each output, [out]; undefined for plain LoRA. */
  magnitude: Tensor | undefined;
}

/** x times a number. */
function scale(tape: Tape, x: Tensor, factor: number): Tensor {
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => ops.mul(x, ops.scalar(factor)),
    backward: (dy) => [ops.mul(dy, ops.scalar(factor))],
  });
}

/** Inverted dropout (Srivastava et al. 2014, sec. 10): x [n, d] with a share `rate` set to zero and the rest raised. */
export function dropout(tape: Tape, x: Tensor, { rate, seed }: NonNullable<AdapterUse['dropout']>): Tensor {
  const own = ops.add(seed, constant([0, tape.nextMask()], [2], 'int32'));
  const mask = (): Tensor => {
    const kept = ops.cast(ops.greaterEqual(ops.statelessUniform(own, x.shape), ops.scalar(rate)), 'float32');
    return ops.mul(kept, ops.scalar(1 / (1 - rate)));
  };
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => ops.mul(x, mask()),
    backward: (dy) => [ops.mul(dy, mask())],
  });
}

/** x [n, out] with each column times a number of factor [out]. */
function scaleColumns(tape: Tape, x: Tensor, factor: Tensor): Tensor {
  return tape.run({
    inputs: [x, factor],
    needs: [x, factor],
    costly: false,
    compute: () => ops.mul(x, factor),
    backward: (dy) => [ops.mul(dy, factor), () => ops.sum(ops.mul(dy, x), 0, false)],
  });
}

/** L2 norm of each output's weights, [out]. */
export const outputNorm = (weight: Tensor, layout: WeightLayout): Tensor =>
  ops.sqrt(ops.sum(ops.square(weight), layout === 'out-in' ? 1 : 0, false));

/** W + scaling B A in the layout of W. */
function changedWeight(weight: Tensor, { a, b }: Adapter, scaling: number, layout: WeightLayout): Tensor {
  const scaled = ops.mul(b, ops.scalar(scaling));
  const change = layout === 'out-in' ? { a: scaled, b: a } : { a, b: scaled, transposeA: true, transposeB: true };
  return ops.sumOfProducts([change], weight);
}

/** magnitude [out] / norm [out]; the norm is a constant. */
function relativeMagnitude(tape: Tape, magnitude: Tensor, norm: () => Tensor): Tensor {
  const factor: Tensor = tape.run({
    inputs: [magnitude],
    needs: [],
    // Not by itself, but the norm behind it takes a matrix product: the backward finds it in the factor.
    costly: true,
    compute: () => ops.div(magnitude, norm()),
    backward: (dy) => [ops.mul(dy, ops.div(factor, magnitude))],
  });
  return factor;
}

interface Adapted {
  weight: Tensor;
  adapter: Adapter;
  layout: WeightLayout;
  /** What the product is added to, [n, out]. */
  sum?: Tensor | undefined;
}

/**
 * x W' + scaling x A' B' as one product with W + scaling B A: no second output [n, out] is made and added, neither forward
 * nor for the gradient of x. The changed weight is made for the call alone.
 */
function mergedProduct(tape: Tape, x: Tensor, { weight, adapter, layout }: Adapted, scaling: number): Tensor {
  const { a, b } = adapter;
  const outFirst = layout === 'out-in';
  const changed = (): Tensor => changedWeight(weight, adapter, scaling, layout);
  const scaled = (gradient: Tensor): Tensor => ops.mul(gradient, ops.scalar(scaling));
  return tape.run({
    inputs: [x, a, b],
    needs: [x],
    costly: true,
    compute: () => ops.matmul(x, changed(), false, outFirst),
    backward: (dy) => [
      () => ops.matmul(dy, changed(), false, !outFirst),
      () => scaled(ops.matmul(ops.matmul(dy, b), x, true)),
      () => scaled(ops.matmul(dy, ops.matmul(x, a, false, true), true)),
    ],
  });
}

/** Whether the passes over [n, out] that merging saves are more than those over the weight [in, out] that it takes. */
const mergingPays = ({ precision }: Tape, [rows = 0, into = 0]: readonly number[]): boolean =>
  // In bfloat16 a small change would be lost in the weight's own rounding. Joined products make no second output.
  precision === 'fp32' && !joinsProducts(precision) && rows >= into;

/**
 * The dense product [n, out] of x [n, in] with its adapter, before any bias. LoRA (Hu et al. 2022, eq. 3): x W' + scaling
 * x A' B'. DoRA (Liu et al. 2024, eq. 5): the same with each output scaled to its magnitude. Dropout is on the adapter's
 * input; with DoRA also on the part that rescales the base product, as PEFT has it.
 */
export function adapted(tape: Tape, x: Tensor, { sum, ...layer }: Adapted): Tensor {
  const { weight, adapter, layout } = layer;
  const { scaling, dropout: drops } = tape.adapters as AdapterUse;
  const plain = drops === undefined && adapter.magnitude === undefined;
  const added = (y: Tensor): Tensor => (sum === undefined ? y : add(tape, sum, y));
  if (plain && mergingPays(tape, x.shape)) return added(mergedProduct(tape, x, layer, scaling));
  const input = drops === undefined ? x : dropout(tape, x, drops);
  // Scaled where it is narrow. What comes of it is cheap to compute again, and wider than what it is made of.
  const narrow = scale(tape, linear(tape, input, adapter.a), scaling);
  const base: Term = { x, weight, layout };
  const change: Term = { x: narrow, weight: adapter.b, costly: false };
  if (adapter.magnitude === undefined) return linearSum(tape, [base, change], sum);
  // No gradient flows through the norm (Liu et al. 2024, sec. 4.3, as in PEFT).
  const norm = (): Tensor => outputNorm(changedWeight(product(weight), adapter, scaling, layout), layout);
  const factor = relativeMagnitude(tape, adapter.magnitude, norm);
  if (drops === undefined) return added(scaleColumns(tape, linearSum(tape, [base, change]), factor));
  // base + (factor - 1) dropped base + factor change.
  const dropped = linear(tape, input, weight, { layout });
  const rescaled = scaleColumns(tape, linearSum(tape, [change], dropped), factor);
  const rest = linear(tape, x, weight, { layout, sum: scale(tape, dropped, -1) });
  return added(add(tape, rest, rescaled));
}

/** The weight that computes alone what the dense layer computes with its adapter, in the weight's own layout. */
export function mergedWeight(weight: Tensor, adapter: Adapter, scaling: number, layout: WeightLayout): Tensor {
  const changed = changedWeight(weight, adapter, scaling, layout);
  if (adapter.magnitude === undefined) return changed;
  const factor = ops.div(adapter.magnitude, outputNorm(changed, layout));
  return ops.mul(changed, layout === 'out-in' ? ops.reshape(factor, [factor.shape[0] as number, 1]) : factor);
}
