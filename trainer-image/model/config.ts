import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';

/** config.json as it stands in a checkpoint folder. */
export type RawConfig = Record<string, unknown>;

/** Reads config.json; throws InvalidConfiguration when the folder or the file cannot be used. */
export function readConfig(folder: string): RawConfig {
  const file = join(folder, 'config.json');
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as RawConfig;
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is missing' : 'is not JSON';
    throw new TrainerError('InvalidConfiguration', `${file} ${why}: is this a Hugging Face checkpoint?`, {
      cause: error,
    });
  }
}

const ropeSchema = z.looseObject({
  rope_theta: z.number().gt(0).optional(),
  rope_type: z.string().optional(),
  type: z.string().optional(),
});

/**
 * The base of rotary position embedding, from either form: `rope_theta` beside `rope_scaling` (transformers 4) or
 * `rope_parameters` (transformers 5). Scaled forms are refused by name.
 */
export function ropeTheta(raw: RawConfig): number {
  const parameters = ropeSchema.nullish().parse(raw['rope_parameters'] ?? raw['rope_scaling']);
  const type = parameters?.rope_type ?? parameters?.type ?? 'default';
  if (type !== 'default') {
    throw new TrainerError(
      'InvalidConfiguration',
      `config.json: rope type "${type}" is not supported; known is "default"`,
    );
  }
  const theta = parameters?.rope_theta ?? raw['rope_theta'] ?? 10_000;
  return z.number().gt(0).parse(theta);
}

/** Settings that change no number of a forward pass in training: they may hold anything. */
const ignoredSettings =
  'architectures auto_map bos_token_id eos_token_id pad_token_id dtype torch_dtype initializer_range ' +
  'max_position_embeddings model_type pretraining_tp transformers_version use_cache _name_or_path ' +
  '_attn_implementation_autoset attention_dropout is_llama_config rope_interleaved rope_parameters rope_scaling ' +
  'rope_theta return_dict output_attentions output_hidden_states';

/** Throws InvalidConfiguration that names each setting of config.json that is not known: it might change the model. */
export function refuseUnknown(raw: RawConfig, known: readonly string[]): void {
  const allowed = new Set([...known, ...ignoredSettings.split(' ')]);
  const unknown = Object.keys(raw).filter((key) => !allowed.has(key));
  if (unknown.length > 0) {
    const message = `config.json: ${unknown.join(', ')} not known for model_type "${String(raw['model_type'])}"`;
    throw new TrainerError('InvalidConfiguration', message);
  }
}
