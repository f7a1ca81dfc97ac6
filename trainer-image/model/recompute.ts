import { elements, usesGpu, type Tensor } from '../engine/engine.ts';
import type { SavedStep } from './tape.ts';

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

/** Which blocks are run again: so many from the first, and whether they keep what is kept first. */
export interface Recomputation {
  blocks: number;
  keepsFirst: boolean;
}

/**
 * What is run again in the backward (Chen et al. 2016, "Training deep nets with sublinear memory cost") where each block would
 * keep `saved`. The first blocks: when it is their turn, what the others have kept is gone. They keep what is most costly
 * for its size where there is room for that of all, which takes less time than to keep all of a few blocks more.
 */
export function recomputation(saved: readonly SavedStep[], layers: number, budget: number): Recomputation {
  const size = (steps: readonly SavedStep[]): number => steps.reduce((sum, { output }) => sum + bytesOf(output), 0);
  const [all, first] = [size(saved), size(saved.filter((step) => step.first))];
  if (all * layers <= budget) return { blocks: 0, keepsFirst: true };
  const keepsFirst = first * layers <= budget;
  return { blocks: Math.ceil((all * layers - budget) / (keepsFirst ? all - first : all)), keepsFirst };
}
