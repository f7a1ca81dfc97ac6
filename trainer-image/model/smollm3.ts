import { z } from 'zod';
import type { Family } from './architecture.ts';
import { ignored, refusal, settingsOf, size, type RawConfig } from './config.ts';
import { decoder, decoderSettings, headsWithRope, kindsByType, layerTypes } from './decoder.ts';
import type { Rope } from './rope.ts';

const settings = {
  ...decoderSettings,
  num_key_value_heads: size.nullable(),
  head_dim: size.nullish(),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  use_sliding_window: z.boolean().default(false),
  sliding_window: size.nullish(),
  layer_types: layerTypes,
  max_window_layers: ignored,
  no_rope_layers: z.array(z.literal([0, 1])).nullish(),
  no_rope_layer_interval: size.default(4),
};
type Settings = z.output<z.ZodObject<typeof settings>>;

/** Layers without rotation (Yang et al. 2025, "RNoPE"): every fourth, or those with 0 in `no_rope_layers`. */
function rotates({ num_hidden_layers: layers, ...c }: Settings): boolean[] {
  const given =
    c.no_rope_layers ?? Array.from({ length: layers }, (_, i) => Number((i + 1) % c.no_rope_layer_interval !== 0));
  if (given.length < layers) throw refusal(`no_rope_layers names ${given.length} layers of ${layers}`);
  return given.slice(0, layers).map((value) => value === 1);
}

/** Layers without rotation see the sliding window, where one is used; `layer_types` holds over that. */
function kindsOf(c: Settings, rope: Rope): Family['kind'] {
  const turned = rotates(c);
  const window = c.use_sliding_window ? (c.sliding_window ?? undefined) : undefined;
  const typeOf = (turns: boolean) => (window !== undefined && !turns ? 'sliding_attention' : 'full_attention');
  const ropes = { full_attention: rope, sliding_attention: rope };
  const byType = kindsByType(c.layer_types ?? turned.map(typeOf), c.num_hidden_layers, { window, ropes });
  return (layer) => {
    const kind = byType(layer);
    return turned[layer] === true ? kind : { ...kind, name: `${kind.name} without rope`, rope: undefined };
  };
}

/** SmolLM3 (Bakouch et al. 2025) as transformers' SmolLM3ForCausalLM computes it: some layers do not rotate. */
export function smollm3(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const { heads, rope } = headsWithRope(raw, c, 2_000_000);
  return decoder(c, {
    modelType: 'smollm3',
    heads,
    kind: kindsOf(c, rope),
    qkvBias: c.attention_bias,
    outputBias: c.attention_bias,
    mlpBias: c.mlp_bias,
  });
}
