import type { Architecture, Family, Shapes } from './architecture.ts';

/** All weights of an architecture with their shapes, in checkpoint order. */
export function weightShapes(family: Family): [string, readonly number[]][] {
  const { embedding, positions, finalNorm, head, config, blockShapes } = family;
  const table = [config.vocabSize, config.hiddenSize];
  const learned: [string, readonly number[]][] =
    positions === undefined ? [] : [[positions.name, [positions.size, config.hiddenSize]]];
  const layers = inLayers(family, blockShapes);
  const last: [string, readonly number[]][] = head === embedding ? [] : [[head, table]];
  return [[embedding, table], ...learned, ...layers, ...Object.entries(finalNorm.shapes), ...last];
}

/** Weights of every layer's adapters with their shapes; none where the model has no adapters. */
export const adapterWeightShapes = (architecture: Architecture): [string, readonly number[]][] =>
  inLayers(architecture, architecture.adapters?.shapes ?? {});

/** Weights of a block in every layer, under their whole names. */
function inLayers({ config, prefix }: Family, shapes: Shapes): [string, readonly number[]][] {
  return Array.from({ length: config.layers }, (_, layer) =>
    Object.entries(shapes).map(([name, shape]): [string, readonly number[]] => [prefix(layer) + name, shape]),
  ).flat();
}
