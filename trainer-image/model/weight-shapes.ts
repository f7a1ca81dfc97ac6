import type { Family } from './architecture.ts';

/** All weights of an architecture with their shapes, in checkpoint order. */
export function weightShapes(family: Family): [string, readonly number[]][] {
  const { embedding, positions, finalNorm, head, config, prefix, blockShapes } = family;
  const table = [config.vocabSize, config.hiddenSize];
  const learned: [string, readonly number[]][] =
    positions === undefined ? [] : [[positions.name, [positions.size, config.hiddenSize]]];
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    Object.entries(blockShapes).map(([name, shape]): [string, readonly number[]] => [prefix(layer) + name, shape]),
  );
  const last: [string, readonly number[]][] = head === embedding ? [] : [[head, table]];
  return [[embedding, table], ...learned, ...layers.flat(), ...Object.entries(finalNorm.shapes), ...last];
}
