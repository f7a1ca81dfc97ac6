import { TrainerError } from '../errors.ts';
import type { Architecture } from './architecture.ts';
import type { RawConfig } from './config.ts';
import { llama } from './llama.ts';

/** The architectures that are supported, by config.json's model_type. */
const models: Record<string, (raw: RawConfig) => Architecture> = { llama };

/** The architecture of a config.json; throws InvalidConfiguration for one that is not supported. */
export function architectureOf(raw: RawConfig): Architecture {
  const type = String(raw['model_type']);
  const make = models[type];
  if (make === undefined) {
    const known = Object.keys(models).join(', ');
    throw new TrainerError(
      'InvalidConfiguration',
      `config.json: model_type "${type}" is not supported; known: ${known}`,
    );
  }
  return make(raw);
}
