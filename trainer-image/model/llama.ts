import { z } from 'zod';
import type { Family } from './architecture.ts';
import { settingsOf, size, type RawConfig } from './config.ts';
import { decoder, decoderSettings, headsWithRope } from './decoder.ts';

const settings = {
  ...decoderSettings,
  head_dim: size.nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
};

/** Llama (Touvron et al. 2023) as transformers' LlamaForCausalLM computes it. */
export function llama(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const { heads, rope } = headsWithRope(raw, c, 10_000);
  const kind = { name: 'block', rope, window: undefined };
  return decoder(c, {
    modelType: 'llama',
    heads,
    kind: () => kind,
    qkvBias: c.attention_bias,
    outputBias: c.attention_bias,
    mlpBias: c.mlp_bias,
  });
}
