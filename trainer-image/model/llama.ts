import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import type { Architecture } from './architecture.ts';
import { attention } from './attention.ts';
import { refuseUnknown, ropeTheta, type RawConfig } from './config.ts';
import { add, gatedSilu, linear, rmsNorm, rope } from './primitives.ts';

const size = z.int().min(1);
const fixed = <T extends boolean | string | number>(value: T): z.ZodOptional<z.ZodLiteral<T>> =>
  z.literal(value).optional();

const schema = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  rms_norm_eps: z.number().gt(0).default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: fixed('silu'),
  attention_bias: fixed(false),
  mlp_bias: fixed(false),
});

/** Llama (Touvron et al. 2023) as transformers' LlamaForCausalLM computes it. */
export function llama(raw: RawConfig): Architecture {
  refuseUnknown(raw, Object.keys(schema.shape));
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    throw new TrainerError('InvalidConfiguration', `config.json: ${z.prettifyError(parsed.error)}`);
  }
  const c = parsed.data;
  const heads = {
    query: c.num_attention_heads,
    keyValue: c.num_key_value_heads ?? c.num_attention_heads,
    size: c.head_dim ?? c.hidden_size / c.num_attention_heads,
  };
  if (heads.query % heads.keyValue !== 0 || !Number.isInteger(heads.size) || heads.size % 2 !== 0) {
    throw new TrainerError(
      'InvalidConfiguration',
      'config.json: num_attention_heads must be a multiple of num_key_value_heads and head_dim even',
    );
  }
  const [hidden, inner] = [c.hidden_size, c.intermediate_size];
  const [queryWidth, keyWidth] = [heads.query * heads.size, heads.keyValue * heads.size];
  return {
    config: {
      modelType: 'llama',
      vocabSize: c.vocab_size,
      hiddenSize: hidden,
      layers: c.num_hidden_layers,
      headSize: heads.size,
      normEpsilon: c.rms_norm_eps,
      ropeTheta: ropeTheta(raw),
      tiedEmbeddings: c.tie_word_embeddings,
    },
    embedding: 'model.embed_tokens.weight',
    norm: 'model.norm.weight',
    head: c.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight',
    prefix: (layer) => `model.layers.${layer}.`,
    blockShapes: {
      'input_layernorm.weight': [hidden],
      'self_attn.q_proj.weight': [queryWidth, hidden],
      'self_attn.k_proj.weight': [keyWidth, hidden],
      'self_attn.v_proj.weight': [keyWidth, hidden],
      'self_attn.o_proj.weight': [hidden, queryWidth],
      'post_attention_layernorm.weight': [hidden],
      'mlp.gate_proj.weight': [inner, hidden],
      'mlp.up_proj.weight': [inner, hidden],
      'mlp.down_proj.weight': [hidden, inner],
    },
    block: (tape, x, p, { segments, rotation }) => {
      const w = (name: string) => p[`${name}.weight`]!;
      const h = rmsNorm(tape, x, w('input_layernorm'), c.rms_norm_eps);
      const q = rope(tape, linear(tape, h, w('self_attn.q_proj')), heads.query, rotation);
      const k = rope(tape, linear(tape, h, w('self_attn.k_proj')), heads.keyValue, rotation);
      const v = linear(tape, h, w('self_attn.v_proj'));
      const attended = attention(tape, { q, k, v }, heads, segments);
      const middle = add(tape, x, linear(tape, attended, w('self_attn.o_proj')));
      const h2 = rmsNorm(tape, middle, w('post_attention_layernorm'), c.rms_norm_eps);
      const gated = gatedSilu(tape, linear(tape, h2, w('mlp.gate_proj')), linear(tape, h2, w('mlp.up_proj')));
      return add(tape, middle, linear(tape, gated, w('mlp.down_proj')));
    },
  };
}
