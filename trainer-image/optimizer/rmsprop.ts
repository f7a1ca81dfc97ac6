import { ops, type Tensor } from '../engine/engine.ts';
import { decayOf, inPlace } from './rule.ts';

/**
 * RMSprop (Tieleman and Hinton 2012, lecture 6.5) as torch.optim.RMSprop computes it: the gradient over the root of its
 * averaged square (by `rmspropAlpha`), with `momentum` on the quotient. Weight decay is L2: it is added to the gradient.
 */
export const rmsprop = inPlace({
  name: 'rmsprop',
  slots: (shape, { momentum }): Record<string, readonly number[]> =>
    momentum > 0 ? { v: shape, momentum: shape } : { v: shape },
  numbers: (target, settings, { learningRate }) => {
    const { rmspropAlpha: alpha, epsilon, momentum } = settings;
    const decay = decayOf(target, settings);
    return { alpha, rest: 1 - alpha, epsilon, momentum, rate: -learningRate, decay };
  },
  change: ({ weight, gradient, slots, numbers }) => {
    const { alpha, rest, epsilon, momentum, rate, decay } = numbers as Record<string, Tensor> & { alpha: Tensor };
    const slope = ops.add(gradient, ops.mul(weight, decay as Tensor));
    const v = ops.add(ops.mul(slots['v'] as Tensor, alpha), ops.mul(ops.square(slope), rest as Tensor));
    const quotient = ops.div(slope, ops.add(ops.sqrt(v), epsilon as Tensor));
    if (slots['momentum'] === undefined) return { add: ops.mul(quotient, rate as Tensor), slots: { v } };
    const moved = ops.add(ops.mul(slots['momentum'], momentum as Tensor), quotient);
    return { add: ops.mul(moved, rate as Tensor), slots: { v, momentum: moved } };
  },
});
