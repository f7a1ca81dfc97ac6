import type { Architecture } from './architecture.ts';

/** All weights of an architecture with their shapes, in checkpoint order. */
export function weightShapes(architecture: Architecture): [string, readonly number[]][] {
  const { embedding, norm, head, config, prefix, blockShapes } = architecture;
  const table = [config.vocabSize, config.hiddenSize];
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    Object.entries(blockShapes).map(([name, shape]): [string, readonly number[]] => [prefix(layer) + name, shape]),
  );
  const last: [string, readonly number[]][] = head === embedding ? [] : [[head, table]];
  return [[embedding, table], ...layers.flat(), [norm, [config.hiddenSize]], ...last];
}
