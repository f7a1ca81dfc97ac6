import { z } from 'zod';
import type { Family } from './architecture.ts';
import { settingsOf, size, type RawConfig } from './config.ts';
import { decoder, decoderSettings, headsWithRope, kindsByType, layerTypes, type LayerType } from './decoder.ts';
import type { Rope } from './rope.ts';

/** Settings of Qwen's models, also of Qwen3. */
export const qwenSettings = {
  ...decoderSettings,
  num_key_value_heads: size.nullable(),
  use_sliding_window: z.boolean().default(false),
  sliding_window: size.nullable().default(4096),
  max_window_layers: z.int().min(0).default(28),
  layer_types: layerTypes,
};

/** Layers from `max_window_layers` on see a sliding window, where it is used; `layer_types` holds over that. */
export function qwenKinds(c: z.output<z.ZodObject<typeof qwenSettings>>, rope: Rope): Family['kind'] {
  const window = c.use_sliding_window ? (c.sliding_window ?? undefined) : undefined;
  const typeOf = (layer: number): LayerType =>
    window !== undefined && layer >= c.max_window_layers ? 'sliding_attention' : 'full_attention';
  const types = c.layer_types ?? Array.from({ length: c.num_hidden_layers }, (_, layer) => typeOf(layer));
  const ropes = { full_attention: rope, sliding_attention: rope };
  return kindsByType(types, c.num_hidden_layers, { window, ropes });
}

const settings = { ...qwenSettings, head_dim: size.nullish() };

/** Qwen2 and Qwen2.5 (Yang et al. 2024) as transformers' Qwen2ForCausalLM computes them: bias on q, k and v alone. */
export function qwen2(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const { heads, rope } = headsWithRope(raw, c, 10_000);
  return decoder(c, { modelType: 'qwen2', heads, kind: qwenKinds(c, rope), qkvBias: true });
}
