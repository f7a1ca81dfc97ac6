import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { compile, free, kernels, ops, scope, tensor, type Tensor, type Variable } from '../engine/engine.ts';

/** What the optimizers take from `spec.training`; which of them a rule reads, the schema says. */
export type Settings = Pick<DPOJobSpec['training'], 'betas' | 'epsilon' | 'weightDecay' | 'momentum' | 'rmspropAlpha'>;

/** When and how far a step is taken; `step` counts from 1 in its stage. */
export interface StepAt {
  step: number;
  learningRate: number;
  /** What the gradients are to be multiplied by: clipping. */
  gradientScale: number;
}

/** A weight with its part of the optimizer's state, by kind. */
export interface Target {
  weight: Variable;
  slots: Readonly<Record<string, Variable>>;
}

/** How an optimizer treats one weight. */
export interface UpdateRule {
  /** The state that a weight of this shape needs, all zeros at first: its kinds and their shapes. */
  slots: (shape: readonly number[], settings: Settings) => Record<string, readonly number[]>;
  /**
   * Takes a step in place; the gradients may be changed. Every read of a weight must be freed before: it may change with the
   * weight, or TensorFlow makes a copy.
   */
  apply: (targets: readonly (Target & { gradient: Tensor })[], settings: Settings, at: StepAt) => void;
}

/** The gradient as it counts: the given one itself is changed where that is cheaper. */
export function scaled(gradient: Tensor, { gradientScale }: StepAt): Tensor {
  if (gradientScale === 1) return gradient;
  const fused = kernels();
  if (fused === undefined) return ops.mul(gradient, scalar(gradientScale));
  fused.scaleInPlace(gradient, gradientScale);
  return gradient;
}

/** Weight decay of one weight: it holds for matrices, not for norms and biases, as in transformers' Trainer. */
export const decayOf = ({ weight }: Pick<Target, 'weight'>, { weightDecay }: Settings): number =>
  weight.shape.length > 1 ? weightDecay : 0;

type Tensors = Readonly<Record<string, Tensor>>;

/** A step as values: what is added to the weight, and the state afterwards. */
export interface Change {
  add: Tensor;
  slots: Tensors;
}

/** A rule as a pure function of tensors, and the numbers [] that it needs. */
export interface PureRule {
  name: string;
  slots: UpdateRule['slots'];
  numbers: (target: Target, settings: Settings, at: StepAt) => Record<string, number>;
  /** weight and gradient have one shape; slots have theirs; numbers are scalars. */
  change: (values: { weight: Tensor; gradient: Tensor; slots: Tensors; numbers: Tensors }) => Change;
}

/** A rule that treats one weight after the other, each in a scope of its own. */
export const each =
  (one: (target: Target, gradient: Tensor, settings: Settings, at: StepAt) => void): UpdateRule['apply'] =>
  (targets, settings, at) =>
    targets.forEach(({ gradient, ...target }) => scope(() => one(target, gradient, settings, at)));

/** Makes an in-place rule of a pure one: computes the change as one compiled function per shape, then applies it. */
export function inPlace({ name, slots, numbers, change }: PureRule): UpdateRule {
  return {
    slots,
    apply: each((target, gradient, settings, at) => {
      const kinds = Object.keys(target.slots);
      const scalars = numbers(target, settings, at);
      const read = [target.weight, ...kinds.map((kind) => target.slots[kind] as Variable)].map((one) => one.read());
      const inputs = [scaled(gradient, at), ...read, ...Object.values(scalars).map((value) => scalar(value))];
      const recorded = ([g, w, ...rest]: Tensor[]): Tensor[] => {
        const state = named(kinds, rest);
        const values = named(Object.keys(scalars), rest.slice(kinds.length));
        const result = change({ weight: w as Tensor, gradient: g as Tensor, slots: state, numbers: values });
        return [result.add, ...kinds.map((kind) => result.slots[kind] as Tensor)];
      };
      const [add, ...state] = compile(`${name} ${kinds.join(' ')}`, recorded, inputs) as [Tensor, ...Tensor[]];
      free(...read);
      target.weight.assignAdd(add);
      kinds.forEach((kind, i) => target.slots[kind]?.assign(state[i] as Tensor));
    }),
  };
}

export const scalar = (value: number): Tensor => tensor(Float32Array.of(value), []);

const named = (names: readonly string[], tensors: readonly Tensor[]): Tensors =>
  Object.fromEntries(names.map((name, i) => [name, tensors[i] as Tensor]));
