import { z } from 'zod';
import type { Family } from './architecture.ts';
import { fixed, ignored, positive, refusal, settingsOf, size, type RawConfig } from './config.ts';
import * as decoders from './decoder.ts';
import { dense, weight } from './dense.ts';
import { add, gatedGelu, plusOne, rmsNorm } from './primitives.ts';
import type { Rope } from './rope.ts';
import { ropeFrom } from './rope-config.ts';

const { hidden_act: _, ...shared } = decoders.decoderSettings;
const settings = {
  ...shared,
  num_key_value_heads: size,
  head_dim: size.default(256),
  tie_word_embeddings: z.boolean().default(true),
  hidden_activation: fixed('gelu_pytorch_tanh'),
  attention_bias: z.boolean().default(false),
  query_pre_attn_scalar: positive.default(256),
  sliding_window: size.nullable().default(4096),
  sliding_window_pattern: size.default(6),
  layer_types: decoders.layerTypes,
  rope_local_base_freq: positive.default(10_000),
  attn_logit_softcapping: fixed(null),
  final_logit_softcapping: fixed(null),
  use_bidirectional_attention: fixed(false).nullable(),
  _sliding_window_pattern: ignored,
};

const ropeByType = z.strictObject({
  full_attention: z.record(z.string(), z.unknown()).nullish(),
  sliding_attention: z.record(z.string(), z.unknown()).nullish(),
});

/** Rotations of both types of layers: `rope_parameters` holds one for each; `rope_scaling` is the full ones' alone. */
function ropesOf(raw: RawConfig, headSize: number, localTheta: number): Record<decoders.LayerType, Rope> {
  const given = ropeByType.safeParse(raw['rope_parameters'] ?? {});
  if (!given.success) throw refusal(`rope_parameters by layer type: ${z.prettifyError(given.error)}`);
  const scaling = z.record(z.string(), z.unknown()).parse(raw['rope_scaling'] ?? {});
  const full = { ...given.data.full_attention, ...scaling };
  const sliding = { rope_theta: localTheta, ...given.data.sliding_attention };
  return {
    full_attention: ropeFrom(full, raw, { headSize, theta: 1_000_000 }),
    sliding_attention: ropeFrom(sliding, raw, { headSize, theta: localTheta }),
  };
}

/**
 * Gemma 3, text only (Gemma Team 2025), as transformers' Gemma3ForCausalLM computes it: norms before and after each
 * part, with weights as distances from one; queries and keys normed by head; five local layers to each global one.
 */
export function gemma3(raw: RawConfig): Family {
  const c = { ...settingsOf(raw, settings), hidden_act: undefined };
  const heads = decoders.headsOf(c, c.head_dim);
  const layers = c.num_hidden_layers;
  const typeOf = (layer: number): decoders.LayerType =>
    (layer + 1) % c.sliding_window_pattern === 0 ? 'full_attention' : 'sliding_attention';
  const kind = decoders.kindsByType(c.layer_types ?? Array.from({ length: layers }, (__, i) => typeOf(i)), layers, {
    window: c.sliding_window ?? undefined,
    ropes: ropesOf(raw, heads.size, c.rope_local_base_freq),
  });
  const bias = c.attention_bias;
  const traits = { modelType: 'gemma3_text', heads, kind, qkvBias: bias, outputBias: bias, headNorms: true };
  const base = decoders.decoder(c, traits);
  const norm: decoders.Norm = (tape, x, gain) => rmsNorm(tape, x, plusOne(tape, gain), c.rms_norm_eps);
  const scale = c.query_pre_attn_scalar ** -0.5;
  return {
    ...base,
    embeddingScale: Math.fround(Math.sqrt(c.hidden_size)),
    finalNorm: decoders.lastNorm(c.hidden_size, norm),
    blockShapes: {
      ...base.blockShapes,
      'pre_feedforward_layernorm.weight': [c.hidden_size],
      'post_feedforward_layernorm.weight': [c.hidden_size],
    },
    block: (tape, x, p, context) => {
      const by = (name: string, from: typeof x): typeof x => norm(tape, from, weight(p, `${name}_layernorm`));
      const attended = decoders.selfAttention(tape, by('input', x), p, { heads, norm, context, scale });
      const middle = add(tape, x, by('post_attention', attended));
      const h = by('pre_feedforward', middle);
      const gated = gatedGelu(tape, dense(tape, h, p, 'mlp.gate_proj'), dense(tape, h, p, 'mlp.up_proj'));
      return add(tape, middle, by('post_feedforward', dense(tape, gated, p, 'mlp.down_proj')));
    },
  };
}
