import { z } from 'zod';
import type { Family } from './architecture.ts';
import { settingsOf, size, type RawConfig } from './config.ts';
import { decoder, decoderSettings, headsOf } from './decoder.ts';
import { ropeOf } from './rope-config.ts';

const settings = {
  ...decoderSettings,
  head_dim: size.nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
};

/** Llama (Touvron et al. 2023) as transformers' LlamaForCausalLM computes it. */
export function llama(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const heads = headsOf(c, c.head_dim);
  const kind = { name: 'block', rope: ropeOf(raw, { headSize: heads.size, theta: 10_000 }), window: undefined };
  return decoder(c, {
    modelType: 'llama',
    heads,
    kind: () => kind,
    qkvBias: c.attention_bias,
    outputBias: c.attention_bias,
    mlpBias: c.mlp_bias,
  });
}
