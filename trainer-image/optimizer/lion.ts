import { ops, type Tensor } from '../engine/engine.ts';
import { decayOf, inPlace } from './rule.ts';

/**
 * Lion (Chen et al. 2023, algorithm 2): the sign of a blend of momentum and gradient by `betas[0]`, momentum by `betas[1]`,
 * decoupled weight decay. Every element moves by the learning rate: a tenth of AdamW's is the authors' advice.
 */
export const lion = inPlace({
  name: 'lion',
  slots: (shape) => ({ m: shape }),
  numbers: (target, settings, { learningRate }) => {
    const [beta1, beta2] = settings.betas as [number, number];
    const decay = -learningRate * decayOf(target, settings);
    return { beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2, rate: -learningRate, decay };
  },
  change: ({ weight, gradient, slots, numbers }) => {
    const m = slots['m'] as Tensor;
    const blend = (beta: string, rest: string): Tensor =>
      ops.add(ops.mul(m, numbers[beta] as Tensor), ops.mul(gradient, numbers[rest] as Tensor));
    const step = ops.mul(ops.sign(blend('beta1', 'rest1')), numbers['rate'] as Tensor);
    return {
      add: ops.add(step, ops.mul(weight, numbers['decay'] as Tensor)),
      slots: { m: blend('beta2', 'rest2') },
    };
  },
});
