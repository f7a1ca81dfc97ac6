import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { architectureOf } from '../../trainer-image/model/models.ts';
import type { RawConfig } from '../../trainer-image/model/config.ts';
import { weightShapes } from '../../trainer-image/model/weight-shapes.ts';
import { writeSafetensors } from '../../trainer-image/model/safetensors.ts';
import { Random } from '../data/random.ts';

/** Normal numbers (Box and Muller 1958). */
function normal(random: Random, count: number, deviation: number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
    return deviation * radius * Math.cos(2 * Math.PI * random.next());
  });
}

/** Writes the weights of an untrained model of a config.json, from a seed. */
export function writeSeededWeights(file: string, raw: RawConfig, seed: number): void {
  const random = new Random(seed);
  const deviation = raw['initializer_range'] as number;
  const tensors = weightShapes(architectureOf(raw)).map(([name, shape]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const read = (): Float32Array =>
      shape.length === 1 ? new Float32Array(count).fill(1) : normal(random, count, deviation);
    return { name, shape, read };
  });
  writeSafetensors(file, tensors);
}

/** Writes the starter model's weights, from a seed: an untrained Llama of 1.3 million parameters. */
export function writeStarterWeights(file: string, seed = 7): void {
  const raw = JSON.parse(readFileSync(join(import.meta.dirname, 'config.json'), 'utf8')) as RawConfig;
  writeSeededWeights(file, raw, seed);
}
