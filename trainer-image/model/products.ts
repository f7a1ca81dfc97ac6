import type { ComputePlan } from '../engine/compute-plan.ts';
import { kernels, ops, type Product, type Tensor } from '../engine/engine.ts';
import type { Tape } from './tape.ts';

/**
 * What a network's matrix products multiply. `bf16`: both factors rounded to bfloat16, added up in float32 by the
 * processor, the result rounded to bfloat16, as under torch.autocast. Weights, their gradients, and all that is no matrix
 * product (norms, rotations, activations, softmax, residuals, the loss) are float32 either way.
 */
export type Precision = ComputePlan['precision'];

/** A factor of a product: float32 x as it is multiplied. */
export const factor = (precision: Precision, x: Tensor): Tensor =>
  precision === 'fp32' || x.dtype === 'bfloat16' ? x : ops.cast(x, 'bfloat16');

/** A product as all else takes it: float32. */
export const product = (x: Tensor): Tensor => (x.dtype === 'float32' ? x : ops.cast(x, 'float32'));

/** The same on a tape: a costly product before it is kept for the backward in its own, smaller type. */
export function widened(tape: Tape, x: Tensor): Tensor {
  if (x.dtype === 'float32') return x;
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => product(x),
    backward: (dy) => [dy],
  });
}

/** a [m, k] times b [k, n] in float32, either side transposed on request, multiplied as `precision` says. */
export const multiply = (
  precision: Precision,
  [a, b]: readonly [Tensor, Tensor],
  transposeA = false,
  transposeB = false,
): Tensor => product(ops.matmul(factor(precision, a), factor(precision, b), transposeA, transposeB));

/** Whether a sum of products takes no longer than they do: then none of them is made by itself. */
export const joinsProducts = (precision: Precision): boolean => precision === 'fp32' && kernels()?.matmul !== undefined;

const isProduct = (part: Tensor | Product): part is Product => !('id' in part);

/** Sum of at least one tensor or product, all of one shape, in float32. */
export function sumOf(precision: Precision, parts: readonly (Tensor | Product)[]): Tensor {
  const multiplied = (part: Tensor | Product): Tensor =>
    isProduct(part) ? multiply(precision, [part.a, part.b], part.transposeA, part.transposeB) : part;
  const products = parts.filter(isProduct);
  if (products.length === 0 || !joinsProducts(precision)) return ops.addN(parts.map(multiplied));
  const tensors = parts.filter((part): part is Tensor => !isProduct(part));
  return ops.sumOfProducts(products, tensors.length === 0 ? undefined : ops.addN(tensors));
}

/** [b, m, k] times [b, k, n], multiplied as `precision` says and left in the type that comes of it. */
export const batchProduct = (
  precision: Precision,
  [a, b]: readonly [Tensor, Tensor],
  transposeA = false,
  transposeB = false,
): Tensor => ops.batchMatmul(factor(precision, a), factor(precision, b), transposeA, transposeB);
