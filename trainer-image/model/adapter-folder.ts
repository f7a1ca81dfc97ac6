import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import type { Architecture } from './architecture.ts';
import { denseLayers, type LoraSettings } from './lora.ts';
import type { NamedTensor } from './safetensors.ts';
import { adapterWeightShapes } from './weight-shapes.ts';
import { adapterFiles, openAdapter, type Weights } from './weights.ts';

/** What PEFT puts before the names of weights. */
export const peftPrefix = 'base_model.model.';

const invalid = (message: string): TrainerError =>
  new TrainerError('InvalidConfiguration', `spec.model.adapter: ${message}`);

/** Of adapter_config.json: what must be training.lora's. */
const settingsSchema = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.int().min(1),
  lora_alpha: z.number(),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
});
type Config = z.output<typeof settingsSchema>;

/** Settings that change no number here, are read elsewhere or are told by the weights themselves. */
const ignored = new Set(
  (
    'peft_type r lora_alpha use_rslora use_dora task_type base_model_name_or_path revision inference_mode auto_mapping ' +
    'peft_version lora_dropout target_modules exclude_modules fan_in_fan_out qalora_group_size megatron_core'
  ).split(' '),
);
/** Values with which a setting that PEFT has, or will have, changes nothing; true is what init_lora_weights is by default. */
const changesNothing = (name: string, value: unknown): boolean =>
  value === null ||
  value === false ||
  value === 'none' ||
  (typeof value === 'object' && Object.keys(value as object).length === 0) ||
  // Whatever drew the first values: these are read. Others (PiSSA, OLoRA ...) also change the model's own weights.
  (name === 'init_lora_weights' && (value === true || value === 'gaussian'));

function readConfig(file: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const why = existsSync(file) ? 'is not JSON' : 'is missing: is this a folder that PEFT saved?';
    throw new TrainerError('InvalidConfiguration', `spec.model.adapter: ${file} ${why}`, { cause: error });
  }
  const parsed = settingsSchema.safeParse(value);
  if (!parsed.success) {
    const fields = parsed.error.issues.map(({ path }) => path.join('.') || 'all of it').join(', ');
    throw invalid(`${file}: not what LoRA has there: ${fields}. Other kinds of adapters are not known`);
  }
  const unknown = Object.entries(parsed.data).filter(
    ([name, held]) => !ignored.has(name) && !changesNothing(name, held),
  );
  if (unknown.length === 0) return parsed.data;
  throw invalid(
    `${file}: not supported: ${unknown.map(([name, held]) => `${name} ${JSON.stringify(held)}`).join(', ')}`,
  );
}

/** The dense layers within a block that have an adapter. Throws InvalidConfiguration for one outside the blocks. */
function layersOf({ names }: Weights, { prefix, config }: Architecture, { use_dora: magnitudes }: Config): string[] {
  const starts = Array.from({ length: config.layers }, (_, layer) => peftPrefix + prefix(layer));
  const found = names.map((name) => {
    const start = starts.find((each) => name.startsWith(each));
    const layer = /^(.+)[.]lora_(?:A[.]weight|B[.]weight|magnitude_vector)$/.exec(name.slice(start?.length ?? 0))?.[1];
    if (!magnitudes && name.endsWith('.lora_magnitude_vector'))
      throw invalid(`it holds ${name}, and use_dora is false in ${adapterFiles.config}`);
    if (start !== undefined && layer !== undefined) return layer;
    throw invalid(`it holds ${name}, which is no adapter of a dense layer in this model's blocks`);
  });
  return [...new Set(found)];
}

/** training.lora as the adapter has it; no targets where it has all. */
function settingsOf(config: Config, layers: readonly string[], architecture: Architecture): Record<string, unknown> {
  const all = denseLayers(architecture.blockShapes);
  const everywhere = all.every((layer) => layers.includes(layer));
  return {
    rank: config.r,
    alpha: config.lora_alpha,
    ...(everywhere ? {} : { targetModules: layers }),
    ...(config.use_rslora ? { useRslora: true } : {}),
    ...(config.use_dora ? { useDora: true } : {}),
  };
}

/** Throws InvalidConfiguration with each setting that differs, and with what training.lora must be. */
function checkSettings(config: Config, layers: readonly string[], architecture: Architecture, settings: LoraSettings) {
  const trained = new Set(Object.keys(architecture.adapters?.shapes ?? {}).map((name) => name.split('.lora_')[0]));
  const [missing, extra] = [
    [...trained].filter((each) => !layers.includes(each as string)),
    layers.filter((each) => !trained.has(each)),
  ];
  const pairs: [string, unknown, unknown][] = [
    ['rank', settings.rank, config.r],
    ['alpha', settings.alpha, config.lora_alpha],
    ['useRslora', settings.useRslora, config.use_rslora],
    ['useDora', settings.useDora, config.use_dora],
  ];
  const different = pairs
    .filter(([, own, its]) => own !== its)
    .map(([name, own, its]) => `${name} is ${String(own)}, in the adapter ${String(its)}`);
  if (missing.length > 0) different.push(`targetModules has ${missing.join(', ')}, and the adapter has not`);
  if (extra.length > 0) different.push(`targetModules has not ${extra.join(', ')}, and the adapter has`);
  if (different.length === 0) return;
  const wanted = JSON.stringify(settingsOf(config, layers, architecture));
  throw new TrainerError(
    'InvalidConfiguration',
    `spec.training.lora: ${different.join('; ')}. Set training.lora to ${wanted}`,
  );
}

/**
 * The weights of an adapter that PEFT saved, under their names and in their order here. Throws InvalidConfiguration when
 * it is no LoRA adapter of this model, or one of other settings than `settings`.
 */
export function readAdapterFolder(folder: string, architecture: Architecture, settings: LoraSettings): NamedTensor[] {
  const config = readConfig(join(folder, adapterFiles.config));
  const weights = openAdapter(folder);
  try {
    checkSettings(config, layersOf(weights, architecture, config), architecture, settings);
    return adapterWeightShapes(architecture).map(([name, shape]) => ({
      ...weights.read(peftPrefix + name, shape),
      name,
    }));
  } finally {
    weights.close();
  }
}
