import { attribute } from '../engine/attribute.ts';
import { execute } from '../engine/tensor.ts';
import { ops, scope } from '../engine/engine.ts';
import { decayOf, scalar, type UpdateRule } from './rule.ts';

/**
 * AdamW (Loshchilov and Hutter 2019, algorithm 2) as torch.optim.AdamW computes it: moments m and v of the gradient by
 * `betas`, decoupled weight decay. TensorFlow's own operation changes weight and moments in place.
 */
export const adamw: UpdateRule = {
  slots: (shape) => ({ m: shape, v: shape }),
  apply: (target, gradient, settings, { step, learningRate }) =>
    scope(() => {
      const { weight, slots } = target;
      const decay = decayOf(target, settings);
      if (decay > 0) weight.assignAdd(scope(() => ops.mul(weight.read(), scalar(-learningRate * decay))));
      const [beta1, beta2] = settings.betas as [number, number];
      // TensorFlow adds epsilon to sqrt(v), torch to sqrt(v / (1 - beta2^t)): scaled by sqrt(1 - beta2^t) they are equal.
      const epsilon = settings.epsilon * Math.sqrt(1 - beta2 ** step);
      const numbers = [beta1 ** step, beta2 ** step, learningRate, beta1, beta2, epsilon].map(scalar);
      const flags = [attribute.type('T', 'float32'), attribute.bool('use_locking', false)];
      const attributes = [...flags, attribute.bool('use_nesterov', false)];
      const handles = [weight, slots['m'] as typeof weight, slots['v'] as typeof weight].map(({ handle }) => handle);
      execute('ResourceApplyAdam', attributes, [...handles, ...numbers, gradient], 0);
    }),
};
