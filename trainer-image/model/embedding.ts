import { compile, ops, scope, tensor, type Tensor } from '../engine/engine.ts';
import { TrainerError } from '../errors.ts';
import type { Architecture } from './architecture.ts';
import type { GradientSink } from './gradients.ts';
import { product } from './products.ts';

/** Which tokens at which positions. */
export interface Places {
  tokens: Int32Array;
  positions: Int32Array;
}

/** Names of the embedding's weights, in the order in which the functions here take and give them. */
export const embeddingNames = ({ embedding, positions }: Architecture): string[] =>
  positions === undefined ? [embedding] : [embedding, positions.name];

const indices = (values: Int32Array): Tensor => tensor(values, [values.length], 'int32');

/**
 * Throws InvalidConfiguration, with the name of the field, when a length is more than the positions that the model has
 * learned. Before any compute: a sequence that is too long would fail in the middle of a run.
 */
export function checkLengths({ positions }: Architecture, lengths: Record<string, number | undefined>): void {
  for (const [field, length] of Object.entries(lengths)) {
    if (positions === undefined || length === undefined || length <= positions.size) continue;
    const message = `${field} ${length} is more than the ${positions.size} positions that the model knows: lower it`;
    throw new TrainerError('InvalidConfiguration', message);
  }
}

/**
 * Hidden states at the first block, [n, hidden]: rows of the token embedding, scaled, and of the learned positions where
 * the model has them.
 */
export function embed(architecture: Architecture, { tokens, positions }: Places, weights: readonly Tensor[]): Tensor {
  const { embeddingScale } = architecture;
  const run = ([ids, table, at, learned]: Tensor[]): Tensor[] => {
    const rows = product(ops.gather(table as Tensor, ids as Tensor));
    const scaled = embeddingScale === 1 ? rows : ops.mul(rows, ops.scalar(embeddingScale));
    return [learned === undefined ? scaled : ops.add(scaled, product(ops.gather(learned, at as Tensor)))];
  };
  const [table, learned] = weights as [Tensor, Tensor?];
  const inputs = [indices(tokens), table, ...(learned === undefined ? [] : [indices(positions), learned])];
  return compile(`${architecture.id} embedding`, run, inputs)[0] as Tensor;
}

/** Gives the gradient of each of the embedding's weights from that of its output, [n, hidden]. */
export function embeddingGradients(
  { config, embedding, embeddingScale, positions: learned }: Architecture,
  { tokens, positions }: Places,
  dx: Tensor,
  sink: GradientSink,
): void {
  scope(() => {
    const scaled = embeddingScale === 1 ? dx : ops.mul(dx, ops.scalar(embeddingScale));
    sink.addRows(embedding, scaled, indices(tokens), config.vocabSize);
    if (learned !== undefined) sink.addRows(learned.name, dx, indices(positions), learned.size);
  });
}
