import { attribute } from '../engine/attribute.ts';
import { execute } from '../engine/tensor.ts';
import { createVariable, ops, scope, tensor, type Tensor, type Variable } from '../engine/engine.ts';

export interface AdamWSettings {
  betas: readonly [number, number];
  epsilon: number;
  /** Decoupled; applied to matrices only. */
  weightDecay: number;
}

/** First and second moments of one weight. */
export interface Moments {
  m: Variable;
  v: Variable;
}

export function createMoments(weight: Variable): Moments {
  const zeros = (): Float32Array => new Float32Array(weight.shape.reduce((product, size) => product * size, 1));
  const make = (kind: string): Variable => createVariable(`${weight.name}.${kind}`, zeros(), weight.shape);
  return { m: make('m'), v: make('v') };
}

/**
 * One AdamW step (Loshchilov and Hutter 2019, algorithm 2) on a weight in place, as torch.optim.AdamW computes it.
 * `step` counts from 1. Every read of the weight must be freed before: TensorFlow would copy it otherwise.
 */
export function adamW(
  weight: Variable,
  moments: Moments,
  gradient: Tensor,
  { step, learningRate, betas: [beta1, beta2], ...settings }: AdamWSettings & { step: number; learningRate: number },
): void {
  scope(() => {
    if (settings.weightDecay > 0 && weight.shape.length > 1) {
      const decay = scope(() => ops.mul(weight.read(), scalar(-learningRate * settings.weightDecay)));
      weight.assignAdd(decay);
    }
    // TensorFlow adds epsilon to sqrt(v), torch to sqrt(v / (1 - beta2^t)): scaled by sqrt(1 - beta2^t) they are equal.
    const epsilon = settings.epsilon * Math.sqrt(1 - beta2 ** step);
    const numbers = [beta1 ** step, beta2 ** step, learningRate, beta1, beta2, epsilon].map(scalar);
    const flags = [attribute.type('T', 'float32'), attribute.bool('use_locking', false)];
    const attributes = [...flags, attribute.bool('use_nesterov', false)];
    execute(
      'ResourceApplyAdam',
      attributes,
      [weight.handle, moments.m.handle, moments.v.handle, ...numbers, gradient],
      0,
    );
  });
}

const scalar = (value: number): Tensor => tensor(Float32Array.of(value), []);
