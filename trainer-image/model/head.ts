import type { HeadRows } from '../data/layout.ts';
import { compile, kernels, ops, read, roundedUp, tensor, type Tensor } from '../engine/engine.ts';
import { named, type Architecture } from './architecture.ts';
import { factor, multiply } from './products.ts';
import { Tape } from './tape.ts';

/** Weights of the last norm, in the order of its shapes, and the vocabulary projection [vocabulary, hidden]. */
export interface HeadWeights {
  architecture: Architecture;
  norm: readonly Tensor[];
  projection: Tensor;
  /** Whether they are trained: not beside adapters. */
  trained: boolean;
}

interface RowInputs {
  x: Tensor;
  rows: Tensor;
  norm: readonly Tensor[];
}

/** The rows of x that predict an answer's tokens, normed: [rows, hidden]. */
function normed(tape: Tape, { finalNorm }: Architecture, { x, rows, norm }: RowInputs) {
  const gathered = ops.gather(x, rows);
  return { gathered, hidden: finalNorm.apply(tape, gathered, named(finalNorm.shapes, norm)) };
}

/** What the forward call of a head leaves for its backward, and for whoever chooses the rows' weights. */
export interface HeadForward {
  /** Rows of the head's own: where their number is rounded up, the tensors have more. */
  rows: number;
  /** Minus the log-probability of each row's token, [rows]. */
  crossEntropy: Tensor;
  /** Gradient of each row's cross-entropy by its logits, [rows, vocabulary], as products take it: the largest tensor of a step. */
  dLogits: Tensor;
  /** log sum_v p(v)^2 at each row, [rows]; only on request. */
  logSumSquares: Tensor | undefined;
}

/** One number for each row, and zeros where the number of rows is rounded up: the first row, token 0, slope 0. */
function filled<T extends Int32Array | Float32Array>(values: T): T {
  const more = roundedUp(values.length) - values.length;
  if (more === 0) return values;
  const result = new (values.constructor as { new (length: number): T })(values.length + more);
  result.set(values);
  return result;
}

const integers = (values: Int32Array): Tensor => tensor(values, [values.length], 'int32');
const rowsOf = (head: HeadRows): Tensor => integers(filled(head.rows));
const labelsOf = (head: HeadRows): Tensor => integers(filled(head.labels));

/**
 * Forward of some whole groups from x [n, hidden]. The loss is computed from the rows' log-probabilities in between, and
 * then `headBackward` is called: [rows, vocabulary] exists once and nothing of its size is computed twice.
 * `squares` asks for what WPO weighs pairs by.
 */
export function headForward(head: HeadRows, x: Tensor, weights: HeadWeights, squares = false): HeadForward {
  const { architecture, projection, norm } = weights;
  const { precision } = architecture;
  const run = ([states, rows, labels, table, ...gains]: Tensor[]): Tensor[] => {
    const inputs = { x: states, rows, norm: gains } as RowInputs;
    const { hidden } = normed(new Tape(precision), architecture, inputs);
    const logits = multiply(precision, [hidden, table as Tensor], false, true);
    const sums = squares ? [ops.log(ops.sum(ops.square(ops.softmax(logits)), 1, false))] : [];
    const crossEntropy = kernels()?.crossEntropy ?? ops.crossEntropy;
    const [losses, gradient] = crossEntropy(logits, labels as Tensor);
    return [losses as Tensor, factor(precision, gradient as Tensor), ...sums];
  };
  const inputs = [x, rowsOf(head), labelsOf(head), projection, ...norm];
  const key = `${architecture.id} head forward${squares ? ' with squares' : ''}`;
  const [crossEntropy, dLogits, logSumSquares] = compile(key, run, inputs) as [Tensor, Tensor, Tensor | undefined];
  return { rows: head.rows.length, crossEntropy, dLogits, logSumSquares };
}

/** What is read of each row. */
export interface RowValues {
  /** Log-probability of its token. */
  logProbs: Float32Array;
  logSumSquares: Float32Array | undefined;
}

export function rowValues({ rows, crossEntropy, logSumSquares }: HeadForward): RowValues {
  const own = (values: Tensor): Float32Array => (read(values) as Float32Array).subarray(0, rows);
  const logProbs = own(crossEntropy).map((value) => -value);
  return { logProbs, logSumSquares: logSumSquares && own(logSumSquares) };
}

/**
 * Gradients [dx, dProjection, ...dNorm], or [dx] alone where the head is not trained, of a loss whose derivative by each row's log-probability is `slopes` [rows].
 * A row's slope is one number, so the logits' gradient itself is never rescaled.
 */
export function headBackward(
  head: HeadRows,
  { x, architecture, projection, norm, trained }: HeadWeights & { x: Tensor },
  { dLogits }: HeadForward,
  slopes: Float32Array,
): Tensor[] {
  const { precision } = architecture;
  const run = ([states, rows, gradient, slope, table, ...gains]: Tensor[]): Tensor[] => {
    const inputs = { x: states, rows, norm: gains } as RowInputs;
    const tape = new Tape(precision);
    const { gathered, hidden } = normed(tape, architecture, inputs);
    // Cross-entropy is minus the log-probability.
    const weight = ops.neg(slope as Tensor);
    const dHidden = ops.mul(multiply(precision, [gradient as Tensor, table as Tensor]), weight);
    const wanted = [gathered, ...(trained ? gains : [])];
    const [dGathered, ...dNorm] = tape.gradients(hidden, dHidden, wanted) as [Tensor, ...Tensor[]];
    const dx = ops.segmentSum(dGathered, inputs.rows, inputs.x.shape[0] as number);
    if (!trained) return [dx];
    return [dx, multiply(precision, [gradient as Tensor, ops.mul(hidden, weight)], true), ...dNorm];
  };
  const own = filled(slopes);
  const slope = tensor(own, [own.length, 1]);
  const inputs = [x, rowsOf(head), dLogits, slope, projection, ...norm];
  return compile(`${architecture.id} head backward`, run, inputs);
}

/** The reference's last hidden states [rows, hidden], normed: with its projection they give its whole distribution. */
export function headHidden(head: HeadRows, x: Tensor, weights: HeadWeights): Tensor {
  const { architecture, norm } = weights;
  const run = ([states, rows, ...gains]: Tensor[]): Tensor[] => [
    normed(new Tape(architecture.precision), architecture, { x: states, rows, norm: gains } as RowInputs).hidden,
  ];
  return compile(`${architecture.id} head hidden`, run, [x, integers(head.rows), ...norm])[0] as Tensor;
}

/**
 * Sum over the rows of KL(policy || reference) = sum_v p_v (log p_v - log q_v), exact over the vocabulary -> [].
 * `reference`: its hidden states from headHidden, and its projection [vocabulary, hidden].
 */
export function headKl(
  head: HeadRows,
  x: Tensor,
  weights: HeadWeights,
  reference: { hidden: Tensor; projection: Tensor },
): Tensor {
  const { precision, id } = weights.architecture;
  const hidden = headHidden(head, x, weights);
  const run = ([own, projection, other, otherProjection]: Tensor[]): Tensor[] => {
    const p = ops.logSoftmax(multiply(precision, [own as Tensor, projection as Tensor], false, true));
    const q = ops.logSoftmax(multiply(precision, [other as Tensor, otherProjection as Tensor], false, true));
    return [ops.sum(ops.sum(ops.mul(ops.exp(p), ops.sub(p, q)), 1, false), 0, false)];
  };
  return compile(`${id} head KL`, run, [
    hidden,
    weights.projection,
    reference.hidden,
    reference.projection,
  ])[0] as Tensor;
}
