import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import { SafetensorsFile, type NamedTensor } from './safetensors.ts';

/** The tensors of a checkpoint folder, wherever among its files they lie. */
export interface Weights {
  readonly names: readonly string[];
  /** Reads one tensor and checks its shape; throws InvalidConfiguration with its name. */
  read(name: string, shape: readonly number[]): NamedTensor;
  close(): void;
}

/** Files of PEFT's folder of an adapter. */
export const adapterFiles = { config: 'adapter_config.json', weights: 'adapter_model.safetensors' } as const;

const single = 'model.safetensors';
const index = 'model.safetensors.index.json';

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

function readIndex(file: string): string[] {
  try {
    const { weight_map: map } = indexSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return [...new Set(Object.values(map))];
  } catch (error) {
    const message = `${file} holds no "weight_map" from weights to files`;
    throw new TrainerError('InvalidConfiguration', message, { cause: error });
  }
}

/** The weight files of a checkpoint folder. Throws InvalidConfiguration where one is missing. */
export function weightFiles(folder: string): string[] {
  if (existsSync(join(folder, single))) return [join(folder, single)];
  if (!existsSync(join(folder, index))) {
    throw new TrainerError('InvalidConfiguration', `${folder} holds neither ${single} nor ${index}`);
  }
  return readIndex(join(folder, index)).map((name) => {
    if (existsSync(join(folder, name))) return join(folder, name);
    throw new TrainerError('InvalidConfiguration', `${folder}: the shard ${name} named by ${index} is missing`);
  });
}

function allFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}

/** Opens model.safetensors, or the shards that model.safetensors.index.json names. */
export const openWeights = (folder: string): Weights => openFiles(folder, weightFiles(folder), 'config.json asks');

/** Opens the weights of PEFT's folder of an adapter. Throws InvalidConfiguration that says how to save them so. */
export function openAdapter(folder: string): Weights {
  const file = join(folder, adapterFiles.weights);
  if (existsSync(file)) return openFiles(folder, [file], 'training.lora and this model ask');
  const message = `spec.model.adapter: ${file} is missing: save the adapter with save_pretrained(..., safe_serialization=True)`;
  throw new TrainerError('InvalidConfiguration', message);
}

/** `asking`: what a tensor of another shape than the wanted one disagrees with. */
function openFiles(folder: string, paths: readonly string[], asking: string): Weights {
  const owner = new Map<string, SafetensorsFile>();
  const files = paths.map((file) => new SafetensorsFile(file));
  for (const file of files) for (const name of file.names) owner.set(name, file);
  return {
    names: [...owner.keys()],
    read: (name, shape) => {
      const file = owner.get(name);
      if (file === undefined)
        throw new TrainerError('InvalidConfiguration', `${folder}: the weight ${name} is missing`);
      const tensor = file.read(name);
      if (tensor.shape.join() !== shape.join()) {
        const message = `${file.file}: ${name} has shape [${tensor.shape.join(', ')}], ${asking} for [${shape.join(', ')}]`;
        throw new TrainerError('InvalidConfiguration', message);
      }
      // Else the first step would find it, and blame its rows.
      if (!allFinite(tensor.data))
        throw new TrainerError('InvalidConfiguration', `${file.file}: ${name} holds NaN or infinity`);
      return tensor;
    },
    close: () => files.forEach((file) => file.close()),
  };
}
