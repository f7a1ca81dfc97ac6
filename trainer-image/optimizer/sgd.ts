import { ops, type Tensor } from '../engine/engine.ts';
import { decayOf, inPlace } from './rule.ts';

/**
 * Stochastic gradient descent with `momentum` (Polyak 1964) as torch.optim.SGD computes it, without dampening. Weight decay
 * is L2: it is added to the gradient. Without momentum it has no state.
 */
export const sgd = inPlace({
  name: 'sgd',
  slots: (shape, { momentum }): Record<string, readonly number[]> => (momentum > 0 ? { momentum: shape } : {}),
  numbers: (target, settings, { learningRate }) => ({
    momentum: settings.momentum,
    rate: -learningRate,
    decay: decayOf(target, settings),
  }),
  change: ({ weight, gradient, slots, numbers }) => {
    const { momentum, rate, decay } = numbers as Record<'momentum' | 'rate' | 'decay', Tensor>;
    const slope = ops.add(gradient, ops.mul(weight, decay));
    if (slots['momentum'] === undefined) return { add: ops.mul(slope, rate), slots: {} };
    const moved = ops.add(ops.mul(slots['momentum'], momentum), slope);
    return { add: ops.mul(moved, rate), slots: { momentum: moved } };
  },
});
