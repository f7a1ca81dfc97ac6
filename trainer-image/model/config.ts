import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';

/** config.json as it stands in a checkpoint folder. */
export type RawConfig = Record<string, unknown>;

/** An InvalidConfiguration about config.json. */
export const refusal = (message: string): TrainerError =>
  new TrainerError('InvalidConfiguration', `config.json: ${message}`);

/** Reads config.json; throws InvalidConfiguration when the folder or the file cannot be used. */
export function readConfig(folder: string): RawConfig {
  const file = join(folder, 'config.json');
  try {
    return z.looseObject({}).parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if (existsSync(join(folder, 'adapter_config.json'))) {
      const message = `${folder} holds a PEFT adapter: name it in model.adapter, and the model that it is for in model.source`;
      throw new TrainerError('InvalidConfiguration', message, { cause: error });
    }
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is missing' : 'is not a JSON object';
    throw new TrainerError('InvalidConfiguration', `${file} ${why}: is this a Hugging Face checkpoint?`, {
      cause: error,
    });
  }
}

/** A positive whole number. */
export const size = z.int().min(1);
/** A positive number. */
export const positive = z.number().gt(0);
/** A setting that is known with one value only, or absent. */
export const fixed = <T extends boolean | string | number | null>(value: T): z.ZodOptional<z.ZodLiteral<T>> =>
  z.literal(value).optional();
/** A setting that changes nothing here, or is read elsewhere: it may hold anything. */
export const ignored = z.unknown().optional();

/** Settings that change no number of a forward pass in training, in any architecture. Dropout is off, as in TRL. */
const ignoredSettings =
  'architectures auto_map bos_token_id eos_token_id pad_token_id dtype torch_dtype initializer_range ' +
  'model_type pretraining_tp transformers_version use_cache _name_or_path cache_implementation ' +
  '_attn_implementation_autoset attention_dropout is_llama_config rope_interleaved return_dict output_attentions ' +
  'output_hidden_states tokenizer_class transformers.js_config unsloth_fixed unsloth_version task_specific_params ' +
  'tokenizer_class id2label label2id _num_labels gradient_checkpointing';

/**
 * The settings of an architecture by their zod schemas. Throws InvalidConfiguration that names each setting that is not
 * known, since it might change the model, or that has a value that is not supported.
 */
export function settingsOf<T extends z.ZodRawShape>(raw: RawConfig, shape: T): z.output<z.ZodObject<T>> {
  const known = new Set([...Object.keys(shape), ...ignoredSettings.split(' ')]);
  const unknown = Object.keys(raw).filter((key) => !known.has(key));
  if (unknown.length > 0)
    throw refusal(`${unknown.join(', ')} not known for model_type "${String(raw['model_type'])}"`);
  const parsed = z.object(shape).safeParse(raw);
  if (!parsed.success) throw refusal(z.prettifyError(parsed.error));
  return parsed.data;
}
