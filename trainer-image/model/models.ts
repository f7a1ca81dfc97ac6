import { createHash } from 'node:crypto';
import type { Architecture, Family } from './architecture.ts';
import { refusal, type RawConfig } from './config.ts';
import { llama } from './llama.ts';

/** The architectures that are supported, by config.json's model_type. */
const models: Record<string, (raw: RawConfig) => Family> = { llama };

/** The architecture of a config.json; throws InvalidConfiguration for one that is not supported. */
export function architectureOf(raw: RawConfig): Architecture {
  const type = String(raw['model_type']);
  const make = models[type];
  if (make === undefined) {
    throw refusal(`model_type "${type}" is not supported; known: ${Object.keys(models).join(', ')}`);
  }
  const digest = createHash('sha256').update(JSON.stringify(raw)).digest('hex');
  return { ...make(raw), id: `${type} ${digest.slice(0, 12)}` };
}
