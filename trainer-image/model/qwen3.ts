import { z } from 'zod';
import type { Family } from './architecture.ts';
import { settingsOf, size, type RawConfig } from './config.ts';
import { decoder, headsWithRope } from './decoder.ts';
import { qwenKinds, qwenSettings } from './qwen2.ts';

const settings = {
  ...qwenSettings,
  head_dim: size.default(128),
  attention_bias: z.boolean().default(false),
};

/** Qwen3 (Yang et al. 2025) as transformers' Qwen3ForCausalLM computes it: queries and keys are normed by head. */
export function qwen3(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const { heads, rope } = headsWithRope(raw, c, 10_000);
  return decoder(c, {
    modelType: 'qwen3',
    heads,
    kind: qwenKinds(c, rope),
    qkvBias: c.attention_bias,
    outputBias: c.attention_bias,
    headNorms: true,
  });
}
