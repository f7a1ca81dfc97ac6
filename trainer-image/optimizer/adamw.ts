import { attribute } from '../engine/attribute.ts';
import { execute } from '../engine/tensor.ts';
import { kernels, ops, scope, type Variable } from '../engine/engine.ts';
import { decayOf, each, scalar, scaled, type Settings, type StepAt, type UpdateRule } from './rule.ts';

/** 1 - beta^t of both moments, and what torch adds to sqrt(v / (1 - beta2^t)), scaled so that it can be added to sqrt(v). */
function corrected({ betas, epsilon }: Settings, { step }: StepAt) {
  const [m, v] = betas.map((beta) => 1 - beta ** step) as [number, number];
  return { m, v, epsilon: epsilon * Math.sqrt(v) };
}

const moment = (slots: Readonly<Record<string, Variable>>, kind: 'm' | 'v'): Variable => slots[kind] as Variable;

/** TensorFlow's own operation changes weight and moments in place. */
const standard = each((target, gradient, settings, at) => {
  const { weight, slots } = target;
  const decay = at.learningRate * decayOf(target, settings);
  if (decay > 0) weight.assignAdd(scope(() => ops.mul(weight.read(), scalar(-decay))));
  const powers = settings.betas.map((beta) => beta ** at.step);
  const numbers = [...powers, at.learningRate, ...settings.betas, corrected(settings, at).epsilon].map(scalar);
  const flags = [attribute.type('T', 'float32'), attribute.bool('use_locking', false)];
  const attributes = [...flags, attribute.bool('use_nesterov', false)];
  const handles = [weight, moment(slots, 'm'), moment(slots, 'v')].map((variable) => variable.handle());
  execute('ResourceApplyAdam', attributes, [...handles, ...numbers, scaled(gradient, at)], 0);
});

/**
 * AdamW (Loshchilov and Hutter 2019, algorithm 2) as torch.optim.AdamW computes it: moments m and v of the gradient by
 * `betas`, decoupled weight decay.
 */
export const adamw: UpdateRule = {
  slots: (shape) => ({ m: shape, v: shape }),
  apply: (targets, settings, at) => {
    const fused = kernels();
    if (fused === undefined) return standard(targets, settings, at);
    const { m, v, epsilon } = corrected(settings, at);
    const numbers = { betas: settings.betas as [number, number], rate: (at.learningRate * Math.sqrt(v)) / m, epsilon };
    const states = targets.map((target) => ({
      weight: target.weight.value(),
      m: moment(target.slots, 'm').value(),
      v: moment(target.slots, 'v').value(),
      gradient: target.gradient,
      kept: 1 - at.learningRate * decayOf(target, settings),
    }));
    fused.adamw(states, { ...numbers, gradientScale: at.gradientScale });
  },
};
