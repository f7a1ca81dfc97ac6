import type { HeadRows } from '../data/layout.ts';
import { compile, ops, tensor, type Tensor } from '../engine/engine.ts';
import type { PreferenceLoss } from '../loss/losses.ts';
import { rmsNorm } from './primitives.ts';
import { Tape } from './tape.ts';

/** Last norm [hidden] and vocabulary projection [vocabulary, hidden], with the norm's epsilon. */
export interface HeadWeights {
  norm: Tensor;
  projection: Tensor;
  epsilon: number;
}

/** The rows of one head call as tensors: which rows of x, what they predict, which sequence each belongs to. */
interface HeadInputs {
  rows: Tensor;
  labels: Tensor;
  /** [sequences, rows], 1 where the row belongs to the sequence: its product sums over tokens. */
  membership: Tensor;
}

function inputsOf(head: HeadRows, sequences: number): HeadInputs {
  const count = head.rows.length;
  const membership = new Float32Array(sequences * count);
  head.sequences.forEach((sequence, row) => (membership[sequence * count + row] = 1));
  return {
    rows: tensor(head.rows, [count], 'int32'),
    labels: tensor(head.labels, [count], 'int32'),
    membership: tensor(membership, [sequences, count]),
  };
}

/** Normed rows, their cross-entropy and its gradient by the logits. */
function project(tape: Tape, [x, norm, projection, rows, labels]: readonly Tensor[], epsilon: number) {
  const gathered = ops.gather(x as Tensor, rows as Tensor);
  const hidden = rmsNorm(tape, gathered, norm as Tensor, epsilon);
  const logits = ops.matmul(hidden, projection as Tensor, false, true);
  const [crossEntropy, dLogits] = ops.crossEntropy(logits, labels as Tensor);
  return { gathered, hidden, crossEntropy, dLogits };
}

/** Gradients of x, norm and projection when the cross-entropy of each row has weight [rows, 1]. */
function backward(tape: Tape, inputs: readonly Tensor[], state: ReturnType<typeof project>, weight: Tensor): Tensor[] {
  const [x, norm, projection, rows] = inputs as [Tensor, Tensor, Tensor, Tensor];
  // A row's weight is one number, so the logits' gradient itself is never rescaled.
  const dHidden = ops.mul(ops.matmul(state.dLogits, projection), weight);
  const dProjection = ops.matmul(state.dLogits, ops.mul(state.hidden, weight), true);
  const [dGathered, dNorm] = tape.gradients(state.hidden, dHidden, [state.gathered, norm]) as [Tensor, Tensor];
  return [ops.segmentSum(dGathered, rows, x.shape[0] as number), dNorm, dProjection];
}

/** Log-probabilities of each sequence [sequences, 1]: minus the sum of its rows' cross-entropies. */
function sumBySequence(membership: Tensor, crossEntropy: Tensor): Tensor {
  const column = ops.reshape(crossEntropy, [crossEntropy.shape[0] as number, 1]);
  return ops.neg(ops.matmul(membership, column));
}

/** Summed log-probabilities of a head call's sequences, [sequences, 1], from x [n, hidden]. */
export function headLogProbs(head: HeadRows, sequences: number, x: Tensor, weights: HeadWeights): Tensor {
  const { rows, labels, membership } = inputsOf(head, sequences);
  const run = (inputs: Tensor[]): Tensor[] => {
    const { crossEntropy } = project(new Tape(), inputs, weights.epsilon);
    return [sumBySequence(inputs[5] as Tensor, crossEntropy)];
  };
  return compile('head log-probs', run, [x, weights.norm, weights.projection, rows, labels, membership])[0] as Tensor;
}

export interface PreferenceTerms {
  /** Chosen log-probabilities of the reference, then rejected ones: [2 * pairs, 1]. */
  reference: Tensor;
  beta: Tensor;
  /** 1 / pairs of the whole optimizer batch, so that any split into micro-batches gives the same gradient. */
  scale: Tensor;
  lossType: string;
  pairLoss: PreferenceLoss;
}

/**
 * Forward, loss and backward of some whole pairs in one call, so that [rows, vocabulary] exists once and nothing is
 * computed twice -> [losses [pairs, 1], log-probs [2 * pairs, 1], dx, dNorm, dProjection].
 */
export function preferenceHead(head: HeadRows, x: Tensor, weights: HeadWeights, terms: PreferenceTerms): Tensor[] {
  const pairs = head.to - head.from;
  const { rows, labels, membership } = inputsOf(head, 2 * pairs);
  const run = (inputs: Tensor[]): Tensor[] => {
    const [members, reference, beta, scale] = inputs.slice(5) as [Tensor, Tensor, Tensor, Tensor];
    const tape = new Tape();
    const state = project(tape, inputs, weights.epsilon);
    const logProbs = sumBySequence(members, state.crossEntropy);
    const [chosen, rejected] = ops.split(ops.sub(logProbs, reference), [pairs, pairs], 0) as [Tensor, Tensor];
    const pair = terms.pairLoss({ chosen, rejected }, beta);
    const slopes = ops.mul(ops.concat([pair.chosen, pair.rejected], 0), scale);
    // Cross-entropy is minus the log-probability.
    const weight = ops.neg(ops.matmul(members, slopes, true));
    return [pair.loss, logProbs, ...backward(tape, inputs, state, weight)];
  };
  const inputs = [
    x,
    weights.norm,
    weights.projection,
    rows,
    labels,
    membership,
    terms.reference,
    terms.beta,
    terms.scale,
  ];
  return compile(`preference head ${terms.lossType}`, run, inputs);
}

/** Cross-entropy of fine-tuning: [sum of the rows' losses, dx, dNorm, dProjection], gradients times `scale`. */
export function sftHead(head: HeadRows, x: Tensor, weights: HeadWeights, scale: Tensor): Tensor[] {
  const rows = tensor(head.rows, [head.rows.length], 'int32');
  const labels = tensor(head.labels, [head.labels.length], 'int32');
  const run = (inputs: Tensor[]): Tensor[] => {
    const tape = new Tape();
    const state = project(tape, inputs, weights.epsilon);
    const weight = ops.reshape(inputs[5] as Tensor, [1, 1]);
    return [ops.sum(state.crossEntropy, 0, false), ...backward(tape, inputs, state, weight)];
  };
  return compile('SFT head', run, [x, weights.norm, weights.projection, rows, labels, scale]);
}

/** The reference's last hidden states [rows, hidden], normed: with its projection they give its whole distribution. */
export function headHidden(head: HeadRows, x: Tensor, weights: HeadWeights): Tensor {
  const rows = tensor(head.rows, [head.rows.length], 'int32');
  const run = ([states, norm, at]: Tensor[]): Tensor[] => [
    rmsNorm(new Tape(), ops.gather(states as Tensor, at as Tensor), norm as Tensor, weights.epsilon),
  ];
  return compile('head hidden', run, [x, weights.norm, rows])[0] as Tensor;
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
  const hidden = headHidden(head, x, weights);
  const run = ([own, projection, other, otherProjection]: Tensor[]): Tensor[] => {
    const p = ops.logSoftmax(ops.matmul(own as Tensor, projection as Tensor, false, true));
    const q = ops.logSoftmax(ops.matmul(other as Tensor, otherProjection as Tensor, false, true));
    return [ops.sum(ops.sum(ops.mul(ops.exp(p), ops.sub(p, q)), 1, false), 0, false)];
  };
  return compile('head KL', run, [hidden, weights.projection, reference.hidden, reference.projection])[0] as Tensor;
}
