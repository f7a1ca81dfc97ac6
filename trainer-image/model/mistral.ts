import type { Family } from './architecture.ts';
import { settingsOf, size, type RawConfig } from './config.ts';
import { decoder, decoderSettings, headsWithRope } from './decoder.ts';

const settings = {
  ...decoderSettings,
  num_key_value_heads: size.nullable(),
  head_dim: size.nullish(),
  sliding_window: size.nullable().default(4096),
};

/** Mistral 7B (Jiang et al. 2023) as transformers' MistralForCausalLM computes it: every layer sees a sliding window. */
export function mistral(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const { heads, rope } = headsWithRope(raw, c, 10_000);
  const kind = { name: 'block', rope, window: c.sliding_window ?? undefined };
  return decoder(c, { modelType: 'mistral', heads, kind: () => kind });
}
