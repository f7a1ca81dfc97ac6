import { createHash } from 'node:crypto';
import type { Architecture, Family } from './architecture.ts';
import { refusal, type RawConfig } from './config.ts';
import { gemma3 } from './gemma3.ts';
import { gpt2 } from './gpt2.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { phi3 } from './phi3.ts';
import type { Precision } from './products.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { smollm3 } from './smollm3.ts';

/** The architectures that are supported, by config.json's model_type. */
const models: Record<string, (raw: RawConfig) => Family> = {
  llama,
  qwen2,
  qwen3,
  gpt2,
  smollm3,
  mistral,
  phi3,
  gemma3_text: gemma3,
};

/** Their names. */
export const architectures = Object.keys(models);

/** The architecture of a config.json, computed in `precision`; throws InvalidConfiguration for one that is not supported. */
export function architectureOf(raw: RawConfig, precision: Precision = 'fp32'): Architecture {
  const type = String(raw['model_type']);
  const make = models[type];
  if (make === undefined) {
    throw refusal(`model_type "${type}" is not supported; known: ${architectures.join(', ')}`);
  }
  const digest = createHash('sha256').update(JSON.stringify(raw)).digest('hex');
  return { ...make(raw), id: `${type} ${precision} ${digest.slice(0, 12)}`, precision, adapters: undefined };
}
