import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TrainerError } from '../errors.ts';
import { SafetensorsFile, type NamedTensor } from './safetensors.ts';

/** The tensors of a checkpoint folder, wherever among its files they lie. */
export interface Weights {
  readonly names: readonly string[];
  /** Reads one tensor and checks its shape; throws InvalidConfiguration with its name. */
  read(name: string, shape: readonly number[]): NamedTensor;
  close(): void;
}

const single = 'model.safetensors';
const index = 'model.safetensors.index.json';

function filesOf(folder: string): string[] {
  if (existsSync(join(folder, single))) return [single];
  if (!existsSync(join(folder, index))) {
    throw new TrainerError('InvalidConfiguration', `${folder} holds neither ${single} nor ${index}`);
  }
  const { weight_map: map } = JSON.parse(readFileSync(join(folder, index), 'utf8')) as {
    weight_map: Record<string, string>;
  };
  return [...new Set(Object.values(map))];
}

/** Opens model.safetensors, or the shards that model.safetensors.index.json names. */
export function openWeights(folder: string): Weights {
  const owner = new Map<string, SafetensorsFile>();
  const files = filesOf(folder).map((name) => {
    if (!existsSync(join(folder, name))) {
      throw new TrainerError('InvalidConfiguration', `${folder}: the shard ${name} named by ${index} is missing`);
    }
    return new SafetensorsFile(join(folder, name));
  });
  for (const file of files) for (const name of file.names) owner.set(name, file);
  return {
    names: [...owner.keys()],
    read: (name, shape) => {
      const file = owner.get(name);
      if (file === undefined)
        throw new TrainerError('InvalidConfiguration', `${folder}: the weight ${name} is missing`);
      const tensor = file.read(name);
      if (tensor.shape.join() !== shape.join()) {
        const message = `${file.file}: ${name} has shape [${tensor.shape.join(', ')}], config.json asks for [${shape.join(', ')}]`;
        throw new TrainerError('InvalidConfiguration', message);
      }
      return tensor;
    },
    close: () => files.forEach((file) => file.close()),
  };
}
