import { ops, type Tensor } from '../engine/engine.ts';
import { decayOf, inPlace, type Change, type PureRule } from './rule.ts';

/** Decay of the second moment's average: 1 - step^-0.8 (Shazeer and Stern 2018, sec. 7.2). */
const decayRate = -0.8;
/** Added to the squared gradient (epsilon_1). */
const epsilon = 1e-30;

type Values = Parameters<PureRule['change']>[0];

/** average * beta + fresh * (1 - beta). */
const blend = (average: Tensor, fresh: Tensor, { beta, rest }: Values['numbers']): Tensor =>
  ops.add(ops.mul(average, beta as Tensor), ops.mul(fresh, rest as Tensor));

/** A matrix [r, c] keeps the row and column means of its second moment, [r, 1] and [1, c] (algorithm 2). */
function factored({ gradient, slots, numbers }: Values): { update: Tensor; slots: Change['slots'] } {
  const square = ops.add(ops.square(gradient), ops.scalar(epsilon));
  const row = blend(slots['row'] as Tensor, ops.mean(square, 1), numbers);
  const col = blend(slots['col'] as Tensor, ops.mean(square, 0), numbers);
  const scale = ops.mul(ops.rsqrt(ops.div(row, ops.mean(row, 0))), ops.rsqrt(col));
  return { update: ops.mul(scale, gradient), slots: { row, col } };
}

/** A vector keeps its second moment whole (algorithm 3). */
function whole({ gradient, slots, numbers }: Values): { update: Tensor; slots: Change['slots'] } {
  const square = ops.add(ops.square(gradient), ops.scalar(epsilon));
  const v = blend(slots['v'] as Tensor, square, numbers);
  return { update: ops.mul(ops.rsqrt(v), gradient), slots: { v } };
}

/** Scaled down to a root mean square of at most 1 (sec. 6, clipping threshold d = 1). */
function clipped(update: Tensor): Tensor {
  const elements = update.shape.reduce((product, size) => product * size, 1);
  const meanSquare = ops.mul(ops.l2Loss(update), ops.scalar(2 / elements));
  return ops.div(update, ops.max(ops.sqrt(meanSquare), ops.scalar(1)));
}

/**
 * Adafactor (Shazeer and Stern 2018) as transformers' Adafactor computes it under `optim="adafactor"`: scale_parameter and
 * relative_step off, no first moment, decoupled weight decay. Its state is a row and a column per matrix.
 */
export const adafactor = inPlace({
  name: 'adafactor',
  slots: (shape): Record<string, readonly number[]> => {
    const [rows = 1, columns = 1] = shape;
    return shape.length > 1 ? { row: [rows, 1], col: [1, columns] } : { v: shape };
  },
  numbers: (target, settings, { step, learningRate }) => {
    const rest = step ** decayRate;
    return { beta: 1 - rest, rest, rate: -learningRate, decay: -learningRate * decayOf(target, settings) };
  },
  change: (values) => {
    const { weight, numbers } = values;
    const { update, slots } = weight.shape.length > 1 ? factored(values) : whole(values);
    const step = ops.mul(clipped(update), numbers['rate'] as Tensor);
    return { add: ops.add(step, ops.mul(weight, numbers['decay'] as Tensor)), slots };
  },
});
