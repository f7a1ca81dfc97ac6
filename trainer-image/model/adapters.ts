import { read, scope, type Variable } from '../engine/engine.ts';
import { mergedWeight, outputNorm, type Adapter } from './adapter.ts';
import type { Architecture } from './architecture.ts';
import { adapterNames } from './dense.ts';
import { firstValues } from './lora.ts';
import { product } from './products.ts';
import type { NamedTensor } from './safetensors.ts';
import { adapterWeightShapes } from './weight-shapes.ts';

const magnitudeEnd = '.lora_magnitude_vector';

/** The adapters' weights at their start, where they change nothing: see `firstValues`, and each output's norm for DoRA. */
export function firstAdapters(architecture: Architecture, weights: readonly Variable[], seed: number): NamedTensor[] {
  const byName = new Map(weights.map((weight) => [weight.name, weight]));
  return adapterWeightShapes(architecture).map(([name, shape]) => {
    const weight = byName.get(name.replace(magnitudeEnd, '.weight'));
    const data = weight === undefined ? firstValues(name, shape, seed) : outputNorms(architecture, weight);
    return { name, shape, data };
  });
}

function outputNorms({ denseLayout = 'out-in' }: Architecture, weight: Variable): Float32Array {
  return scope(() => read(outputNorm(product(weight.read()), denseLayout)) as Float32Array);
}

function readAdapter(adapters: ReadonlyMap<string, Variable>, layer: string): Adapter | undefined {
  const names = adapterNames(layer);
  const [a, b] = [adapters.get(names.a)?.read(), adapters.get(names.b)?.read()];
  return a === undefined || b === undefined ? undefined : { a, b, magnitude: adapters.get(names.magnitude)?.read() };
}

/** Values of a weight with its adapter's change in it, or as they are where it has none. */
export function mergedValues(
  { adapters: settings, denseLayout = 'out-in' }: Architecture,
  weight: Variable,
  adapters: ReadonlyMap<string, Variable>,
): Float32Array {
  return scope(() => {
    const adapter = readAdapter(adapters, weight.name.replace(/\.weight$/, ''));
    if (adapter === undefined || settings === undefined) return read(product(weight.read())) as Float32Array;
    return read(mergedWeight(product(weight.read()), adapter, settings.scaling, denseLayout)) as Float32Array;
  });
}
