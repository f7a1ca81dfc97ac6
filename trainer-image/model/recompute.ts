import { elements, usesGpu, type Tensor } from '../engine/engine.ts';

/** Bytes that blocks may keep in any case: the activations of small models are no matter. */
const least = 512 * 1024 ** 2;

/**
 * Bytes that the blocks may keep of their forward for their backward. `asked`: `training.gradientCheckpointing`; true is
 * nothing, false everything. By default on a CPU as much as the weights take as they are held (`weightBytes`): where all are
 * trained, gradients of that size take their place in the backward of a step's first micro-batch, so that this much costs
 * next to nothing; beside adapters activations at most double what the model takes. A GPU's memory is there to be used.
 */
export function keptBudget(asked: boolean | undefined, weightBytes: number): number {
  if (asked !== undefined) return asked ? 0 : Infinity;
  return usesGpu() ? Infinity : Math.max(least, weightBytes);
}

const sizes = { bfloat16: 2, float32: 4, int32: 4, bool: 1, resource: 0 } satisfies Record<Tensor['dtype'], number>;
/** Bytes of a tensor's or a variable's values. */
export const bytesOf = ({ dtype, shape }: Pick<Tensor, 'dtype' | 'shape'>): number => sizes[dtype] * elements(shape);

/**
 * How many blocks, from the first, are run again in their backward (Chen et al. 2016, "Training deep nets with sublinear
 * memory cost"), where each keeps tensors as large as `saved`. The first ones: when it is their turn, what the others have
 * kept is gone.
 */
export function recomputedBlocks(saved: readonly Tensor[], layers: number, budget: number): number {
  const size = saved.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  return size * layers <= budget ? 0 : layers - Math.floor(budget / size);
}
