import { adapterParameters, parameters, type ScaleShape } from './shapes.ts';

/** How a model is trained, as far as memory goes. */
export interface Way {
  precision: 'fp32' | 'bf16';
  /** Rank of adapters on all dense layers; all weights are trained where there is none. */
  rank?: number | undefined;
  /** Tokens of a micro-batch, and positions of one head call. */
  tokens: number;
  headRows: number;
  /** Keys that each token's query is multiplied with: on a CPU those before it, on a GPU all of its group. */
  keys: number;
  /** `training.gradientCheckpointing`: blocks keep their input alone, and one at a time the rest. */
  recomputed?: boolean | undefined;
}

/** Bytes, part by part. */
export interface Memory {
  /** Weights, and AdamW's two moments of those that are trained. */
  state: number;
  /** Of all that is trained. */
  gradients: number;
  /** The gradient that the head gives to its [vocabulary, hidden] weights. */
  vocabulary: number;
  /** What all blocks keep of their forward for their backward. */
  activations: number;
  /** The share of one block in them, where all of it is there. */
  kept: number;
  /** What one block computes again, and its gradients, in its backward. */
  block: number;
  /** Logits and their gradient of one head call. */
  head: number;
}

/** The highest of the moments of a step: gradients come while activations go, from the last block to the first. */
export function peakOf({ state, gradients, vocabulary, activations, kept, block, head }: Memory): number {
  return Math.max(
    // The head at work.
    state + vocabulary + activations + head,
    // The last block's backward, the first to be done.
    state + vocabulary + activations + block,
    // The first block's, the last.
    state + gradients + kept + block,
    // The embedding's gradient, added to the head's.
    state + gradients + 2 * vocabulary,
  );
}

/** float32 rows [tokens, inner] that the gated activation and its backward have at once: gate, up, their sigmoid, product and gradients. */
const innerRows = 6;
/** float32 rows [tokens, hidden] of norms, residuals and their gradients at once. */
const hiddenRows = 8;
/** float32 scores [tokens, heads, keys] at once: as products, hidden where none may look, as weights, and their gradients. */
const scoreRows = 4;

/**
 * Memory of a training step.
 *
 *   state        12 P: weight and two moments in float32; with adapters b P + 12 A, the weights being frozen
 *   gradients    4 P, or 4 A
 *   vocabulary   4 V H where all weights are trained
 *   activations  n L (4 H + b (2 Q + 2 K + H + 2 I + 7 r)): each block keeps its input, and of its products queries, keys, values,
 *                the attention's result, its projection, gate and up; b is 4 bytes, or 2 in bfloat16. Where blocks are run
 *                again, 4 n H L and one block's products
 *   block        4 n (6 I + 8 H + 4 h k): one block at a time, its attention's scores included
 *   head         rows V times 8 bytes: logits and their gradient; in bfloat16 12, both types being there for a moment
 *
 * P weights, A those of adapters, n tokens, L layers, H hidden, I inner, Q and K all query and all key heads' sizes, V vocabulary,
 * r rank, h query heads, k keys of a query.
 */
export function memoryOf(model: ScaleShape, { precision, rank, tokens, headRows, keys, recomputed }: Way): Memory {
  const { hidden, inner, layers, heads, keyValueHeads, headSize, vocabulary } = model;
  const all = parameters(model);
  const trained = rank === undefined ? all : adapterParameters(model, rank);
  const bytes = precision === 'bf16' ? 2 : 4;
  const [input, products] = [
    4 * tokens * hidden,
    tokens * bytes * (2 * heads * headSize + 2 * keyValueHeads * headSize + hidden + 2 * inner + 7 * (rank ?? 0)),
  ];
  return {
    state: rank === undefined ? 12 * all : bytes * all + 12 * trained,
    gradients: 4 * trained,
    vocabulary: rank === undefined ? 4 * vocabulary * hidden : 0,
    activations: layers * input + (recomputed ? 1 : layers) * products,
    kept: input + products,
    block: 4 * tokens * (innerRows * inner + hiddenRows * hidden + scoreRows * heads * keys),
    head: headRows * vocabulary * (precision === 'bf16' ? 12 : 8),
  };
}
