import type { Segments } from '../data/layout.ts';
import type { Tensor } from '../engine/engine.ts';
import type { Rotation } from './primitives.ts';
import type { Tape } from './tape.ts';

/** What a block knows of the micro-batch besides its input. */
export interface Context {
  segments: readonly Segments[];
  rotation: Rotation;
}

export type Parameters = Record<string, Tensor>;

/** The settings of config.json that all architectures here share, under their own names. */
export interface ModelConfig {
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  layers: number;
  headSize: number;
  normEpsilon: number;
  ropeTheta: number;
  tiedEmbeddings: boolean;
}

/** One architecture: its weights by their Hugging Face names, and the forward of one block. The backward is derived. */
export interface Architecture {
  config: ModelConfig;
  /** Weight of the token embedding [vocabulary, hidden], of the last norm [hidden] and of the head [vocabulary, hidden]. */
  embedding: string;
  norm: string;
  head: string;
  /** Prefix of layer l's weights, and the weights of one block after it, with their shapes. */
  prefix: (layer: number) => string;
  blockShapes: Record<string, readonly number[]>;
  /** x [n, hidden] -> [n, hidden]; `p` by the names of blockShapes. */
  block: (tape: Tape, x: Tensor, p: Parameters, context: Context) => Tensor;
}
