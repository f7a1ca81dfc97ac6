import type { Tensor } from '../engine/engine.ts';
import type { Attend } from './attention.ts';
import type { Rotation, WeightLayout } from './primitives.ts';
import type { Precision } from './products.ts';
import type { Rope } from './rope.ts';
import type { Tape } from './tape.ts';

/** What some layers of a model have in common: layers of one kind share a compiled block. */
export interface LayerKind {
  /** Tells the kinds of a model apart. */
  name: string;
  /** How queries and keys are rotated; undefined where they are not (learned positions, NoPE). */
  rope: Rope | undefined;
  /** Positions that a token sees, itself counted; undefined where it sees all before it. */
  window: number | undefined;
}

/** What a block knows besides its input and weights. Training and generation each bring their own. */
export interface Context {
  kind: LayerKind;
  /** Rotation of each row of the input, where the kind has one. */
  rotation: Rotation | undefined;
  attend: Attend;
}

/** Weights of a block by their names after the layer's prefix, as in `blockShapes`. */
export type Parameters = Record<string, Tensor>;
export type Shapes = Readonly<Record<string, readonly number[]>>;

/** The settings that all architectures here share. */
export interface ModelConfig {
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  layers: number;
}

/** What a family states: its weights by their Hugging Face names, and its forward. The backward is derived. */
export interface Family {
  config: ModelConfig;
  /** What all names but the head's begin with; a checkpoint may lack it, as transformers allows ("model."). */
  basePrefix: string;
  /** Weight of the token embedding [vocabulary, hidden] and of the head [vocabulary, hidden]; equal where tied. */
  embedding: string;
  head: string;
  /** Embedded tokens are multiplied by it. */
  embeddingScale: number;
  /** Learned embedding of positions [size, hidden], added to the tokens'. */
  positions: { name: string; size: number } | undefined;
  /** The norm before the head: x [n, hidden] -> [n, hidden], `p` by the names of its `shapes`. */
  finalNorm: { shapes: Shapes; apply: (tape: Tape, x: Tensor, p: Parameters) => Tensor };
  /** Prefix of layer l's weights, and the weights of one block after it: the same in every layer. */
  prefix: (layer: number) => string;
  blockShapes: Shapes;
  kind: (layer: number) => LayerKind;
  /** How the block's dense weights lie; [out, in] unless said otherwise. */
  denseLayout?: WeightLayout;
  /** x [n, hidden] -> [n, hidden]; `p` by the names of blockShapes and of the adapters. */
  block: (tape: Tape, x: Tensor, p: Parameters, context: Context) => Tensor;
}

/** Low-rank adapters beside a block's dense layers; where they are, they alone are trained. */
export interface Adapters {
  /** Weights of one block's adapters by their names after the layer's prefix: the same in every layer. */
  shapes: Shapes;
  scaling: number;
  dropout: number;
}

/** One model's architecture. Two with the same `id` compute the same from the same weights. */
export interface Architecture extends Family {
  id: string;
  precision: Precision;
  adapters: Adapters | undefined;
}

/** All weights that a block is given, in this order. */
export const givenShapes = ({ blockShapes, adapters }: Architecture): Shapes => ({
  ...blockShapes,
  ...adapters?.shapes,
});
/** Those of them that are trained. */
export const trainedShapes = ({ blockShapes, adapters }: Architecture): Shapes => adapters?.shapes ?? blockShapes;

/** Tensors under the names of `shapes`, in their order. */
export const named = (shapes: Shapes, tensors: readonly Tensor[]): Parameters =>
  Object.fromEntries(Object.keys(shapes).map((name, i) => [name, tensors[i] as Tensor]));
