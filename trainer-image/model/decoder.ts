import { z } from 'zod';
import type { Tensor } from '../engine/engine.ts';
import type { Context, Family, LayerKind, Parameters, Shapes } from './architecture.ts';
import type { AttentionOptions, Heads } from './attention.ts';
import { fixed, positive, refusal, size, type RawConfig } from './config.ts';
import { dense, weight } from './dense.ts';
import { gatedSilu, reshape, rmsNorm } from './primitives.ts';
import type { Rope } from './rope.ts';
import { ropeOf, ropeSettings } from './rope-config.ts';
import type { Tape } from './tape.ts';

/** What the architectures of Llama's kind share: names of weights, settings, and the parts of their blocks. */

/** Settings of config.json that all of them have. */
export const decoderSettings = {
  ...ropeSettings,
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  rms_norm_eps: positive.default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: fixed('silu'),
};
export type DecoderSettings = z.output<z.ZodObject<typeof decoderSettings>>;

/** Heads by the settings; a head's size is `head_dim`, else what the hidden size leaves it. */
export function headsOf(c: DecoderSettings, headDim?: number | null): Heads {
  const heads = {
    query: c.num_attention_heads,
    keyValue: c.num_key_value_heads ?? c.num_attention_heads,
    size: headDim ?? c.hidden_size / c.num_attention_heads,
  };
  if (heads.query % heads.keyValue !== 0 || !Number.isInteger(heads.size)) {
    throw refusal('num_attention_heads must be a multiple of num_key_value_heads, and hidden_size of the heads');
  }
  return heads;
}

/** The heads, and their rotation with the base `theta` unless config.json has another: of a model with one of each. */
export function headsWithRope(
  raw: RawConfig,
  c: DecoderSettings & { head_dim?: number | null | undefined },
  theta: number,
): { heads: Heads; rope: Rope } {
  const heads = headsOf(c, c.head_dim);
  return { heads, rope: ropeOf(raw, { headSize: heads.size, theta }) };
}

/** A dense layer's weight [out, in], and bias [out] where it has one. */
export function denseShapes(name: string, [out, into]: [number, number], bias = false): Shapes {
  return { [`${name}.weight`]: [out, into], ...(bias ? { [`${name}.bias`]: [out] } : {}) };
}

/** Weights of `attention`: `biased` and `normed` as the model has them. */
function attentionShapes(
  hidden: number,
  { query, keyValue, size: width }: Heads,
  has: { qkvBias?: boolean; outputBias?: boolean; headNorms?: boolean } = {},
): Shapes {
  const norms = { 'self_attn.q_norm.weight': [width], 'self_attn.k_norm.weight': [width] };
  return {
    ...denseShapes('self_attn.q_proj', [query * width, hidden], has.qkvBias),
    ...denseShapes('self_attn.k_proj', [keyValue * width, hidden], has.qkvBias),
    ...denseShapes('self_attn.v_proj', [keyValue * width, hidden], has.qkvBias),
    ...denseShapes('self_attn.o_proj', [hidden, query * width], has.outputBias),
    ...(has.headNorms === true ? norms : {}),
  };
}

/** Weights of `gatedMlp`. */
function mlpShapes(hidden: number, inner: number, bias = false): Shapes {
  return {
    ...denseShapes('mlp.gate_proj', [inner, hidden], bias),
    ...denseShapes('mlp.up_proj', [inner, hidden], bias),
    ...denseShapes('mlp.down_proj', [hidden, inner], bias),
  };
}

/** Normalises rows by a weight: the form of RMS norm that the model has. */
export type Norm = (tape: Tape, x: Tensor, weight: Tensor) => Tensor;

/** x [n, heads * size] with each head normed by a weight [size] (Dehghani et al. 2023, sec. 2, "QK normalisation"). */
function normHeads(tape: Tape, x: Tensor, gain: Tensor | undefined, norm: Norm): Tensor {
  if (gain === undefined) return x;
  const [n, width] = x.shape as [number, number];
  const each = gain.shape[0] as number;
  return reshape(tape, norm(tape, reshape(tape, x, [(n * width) / each, each]), gain), [n, width]);
}

interface Attending {
  heads: Heads;
  norm: Norm;
  context: Context;
  /** What the result is added to. */
  sum?: Tensor;
}

/** Self-attention: queries, keys and values, normed by head where the block has the weights, rotated; [n, hidden]. */
export function selfAttention(
  tape: Tape,
  x: Tensor,
  p: Parameters,
  { heads, norm, context, sum, ...options }: AttentionOptions & Attending,
): Tensor {
  const part = (name: string): Tensor =>
    normHeads(tape, dense(tape, x, p, `self_attn.${name}_proj`), p[`self_attn.${name}_norm.weight`], norm);
  const qkv = { q: part('q'), k: part('k'), v: dense(tape, x, p, 'self_attn.v_proj') };
  const { kind, rotation } = context;
  const attended = context.attend(tape, qkv, heads, { window: kind.window, rotation, ...options });
  return dense(tape, attended, p, { name: 'self_attn.o_proj', sum });
}

/** SwiGLU (Shazeer 2020, eq. 6), added to `sum`. */
function gatedMlp(tape: Tape, x: Tensor, p: Parameters, sum: Tensor): Tensor {
  const gated = gatedSilu(tape, dense(tape, x, p, 'mlp.gate_proj'), dense(tape, x, p, 'mlp.up_proj'));
  return dense(tape, gated, p, { name: 'mlp.down_proj', sum });
}

/** The form of Root Mean Square norm that most have. */
export const plainNorm =
  (epsilon: number): Norm =>
  (tape, x, gain) =>
    rmsNorm(tape, x, gain, epsilon);

/** The block of Llama and its likes: attention and MLP, each behind a norm and beside a residual. */
function decoderBlock(heads: Heads, norm: Norm): Family['block'] {
  return (tape, x, p, context) => {
    const h = norm(tape, x, weight(p, 'input_layernorm'));
    const middle = selfAttention(tape, h, p, { heads, norm, context, sum: x });
    const h2 = norm(tape, middle, weight(p, 'post_attention_layernorm'));
    return gatedMlp(tape, h2, p, middle);
  };
}

/** The norm before the head, `model.norm`. */
export function lastNorm(hidden: number, norm: Norm): Family['finalNorm'] {
  const name = 'model.norm.weight';
  return { shapes: { [name]: [hidden] }, apply: (tape, x, p) => norm(tape, x, p[name] as Tensor) };
}

/** What tells the likes of Llama apart. */
interface Traits {
  modelType: string;
  heads: Heads;
  kind: Family['kind'];
  qkvBias?: boolean;
  outputBias?: boolean;
  mlpBias?: boolean;
  /** Queries and keys are normed by head. */
  headNorms?: boolean;
}

/** An architecture of Llama's kind. */
export function decoder(c: DecoderSettings, traits: Traits): Family {
  const { modelType, heads, kind } = traits;
  const norm = plainNorm(c.rms_norm_eps);
  const [hidden, embedding] = [c.hidden_size, 'model.embed_tokens.weight'];
  return {
    config: { modelType, vocabSize: c.vocab_size, hiddenSize: hidden, layers: c.num_hidden_layers },
    basePrefix: 'model.',
    embedding,
    head: c.tie_word_embeddings ? embedding : 'lm_head.weight',
    embeddingScale: 1,
    positions: undefined,
    finalNorm: lastNorm(hidden, norm),
    prefix: (layer) => `model.layers.${layer}.`,
    kind,
    blockShapes: {
      'input_layernorm.weight': [hidden],
      ...attentionShapes(hidden, heads, traits),
      'post_attention_layernorm.weight': [hidden],
      ...mlpShapes(hidden, c.intermediate_size, traits.mlpBias),
    },
    block: decoderBlock(heads, norm),
  };
}

/** What `layer_types` may hold. */
export type LayerType = 'full_attention' | 'sliding_attention';
export const layerTypes = z.array(z.enum(['full_attention', 'sliding_attention'])).nullish();

/** Kinds of layers by their attention. Throws InvalidConfiguration when the types do not fit the other settings. */
export function kindsByType(
  types: readonly LayerType[],
  layers: number,
  { window, ropes }: { window: number | undefined; ropes: Record<LayerType, Rope> },
): Family['kind'] {
  if (types.length !== layers) throw refusal(`layer_types names ${types.length} layers of ${layers}`);
  if (window === undefined && types.includes('sliding_attention')) {
    throw refusal('layer_types has sliding_attention, and no sliding_window is set or used');
  }
  const kinds: Record<LayerType, LayerKind> = {
    full_attention: { name: 'full_attention', rope: ropes.full_attention, window: undefined },
    sliding_attention: { name: 'sliding_attention', rope: ropes.sliding_attention, window },
  };
  return (layer) => kinds[types[layer] as LayerType];
}
