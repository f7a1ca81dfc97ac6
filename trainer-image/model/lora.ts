import { createHash } from 'node:crypto';
import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { TrainerError } from '../errors.ts';
import type { Architecture, Shapes } from './architecture.ts';
import { adapterNames } from './dense.ts';

export type LoraSettings = NonNullable<DPOJobSpec['training']['lora']>;

/** What the adapter's product is multiplied by: alpha / rank, or alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023, eq. 4). */
export const loraScaling = ({ rank, alpha, useRslora }: LoraSettings): number =>
  alpha / (useRslora ? Math.sqrt(rank) : rank);

/** Names of a block's dense layers: what has a weight with two dimensions. */
export function denseLayers(blockShapes: Shapes): string[] {
  const weights = Object.entries(blockShapes).filter(([name, shape]) => name.endsWith('.weight') && shape.length === 2);
  return weights.map(([name]) => name.slice(0, -'.weight'.length));
}

/**
 * The dense layers that have an adapter: those whose name, or last part of it, is among the target modules, and all of a
 * block where none are named. Throws InvalidConfiguration for a target that the model does not have.
 */
export function targetLayers(blockShapes: Shapes, targets: readonly string[] | undefined): string[] {
  const layers = denseLayers(blockShapes);
  if (targets === undefined) return layers;
  const fits = (layer: string, target: string): boolean => layer === target || layer.endsWith(`.${target}`);
  const unknown = targets.filter((target) => !layers.some((layer) => fits(layer, target)));
  if (unknown.length > 0) {
    const known = layers.map((layer) => layer.split('.').at(-1)).join(', ');
    const message = `spec.training.lora.targetModules: this model has no ${unknown.join(', ')}; it has ${known}`;
    throw new TrainerError('InvalidConfiguration', message);
  }
  return layers.filter((layer) => targets.some((target) => fits(layer, target)));
}

function adapterShapes({ blockShapes, denseLayout }: Architecture, settings: LoraSettings): Shapes {
  const shapes = targetLayers(blockShapes, settings.targetModules).flatMap((layer) => {
    const lying = blockShapes[`${layer}.weight`] as readonly [number, number];
    const [out, into] = denseLayout === 'in-out' ? [lying[1], lying[0]] : lying;
    const names = adapterNames(layer);
    const pair: [string, readonly number[]][] = [
      [names.a, [settings.rank, into]],
      [names.b, [out, settings.rank]],
    ];
    return settings.useDora ? [...pair, [names.magnitude, [out]] as [string, readonly number[]]] : pair;
  });
  return Object.fromEntries(shapes);
}

/** The architecture with low-rank adapters (Hu et al. 2022) beside its dense layers. */
export function withLora(architecture: Architecture, settings: LoraSettings): Architecture {
  const scaling = loraScaling(settings);
  const shapes = adapterShapes(architecture, settings);
  const { dropout } = settings;
  // Scaling and rate are written into a compiled block, and which layers have an adapter.
  const digest = createHash('sha256').update(Object.keys(shapes).join(' ')).digest('hex');
  const id = `${architecture.id} lora ${scaling} ${dropout} ${digest.slice(0, 8)}`;
  return { ...architecture, id, adapters: { shapes, scaling, dropout } };
}

/** A stream of numbers in [-1, 1) by seed and name (mulberry32). */
function uniform(seed: number, name: string): () => number {
  let state = seed;
  for (const character of name) state = Math.imul(state ^ (character.codePointAt(0) as number), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * 2 - 1;
  };
}

/**
 * First values of an adapter's weight, so that it changes nothing: A uniform within 1 / sqrt(in) as torch and PEFT draw it
 * (Kaiming, a = sqrt 5), B zero. A magnitude is not drawn: it is the norm of the weight's rows.
 */
export function firstValues(name: string, shape: readonly number[], seed: number): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  if (!name.endsWith('.lora_A.weight')) return values;
  const next = uniform(seed, name);
  const limit = 1 / Math.sqrt(shape[1] as number);
  return values.map(() => limit * next());
}
