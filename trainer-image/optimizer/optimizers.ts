import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { createZeros, type Tensor, type Variable } from '../engine/engine.ts';
import { adafactor } from './adafactor.ts';
import { adamw } from './adamw.ts';
import { lion } from './lion.ts';
import { rmsprop } from './rmsprop.ts';
import type { Settings, StepAt, Target, UpdateRule } from './rule.ts';
import { sgd } from './sgd.ts';

type OptimizerName = DPOJobSpec['training']['optimizer'];

/** Every optimizer that `training.optimizer` may name. */
const rules = { adamw, adafactor, lion, rmsprop, sgd } satisfies Record<OptimizerName, UpdateRule>;

/** The optimizer of one stage: a state that checkpoints hold, and steps in place. */
export interface Optimizer {
  /** The state in a fixed order; the part of a weight is named `<weight>.<kind>`. */
  readonly variables: readonly Variable[];
  /** Takes a step on every weight; `gradients` by the weights' names; they may be changed. */
  step(gradients: ReadonlyMap<string, Tensor>, at: StepAt): void;
  dispose(): void;
}

/** An optimizer for these weights at its start: its state is all zeros. */
export function createOptimizer(
  weights: readonly Variable[],
  settings: Settings & { optimizer: OptimizerName },
): Optimizer {
  const rule: UpdateRule = rules[settings.optimizer];
  const targets = weights.map((weight): Target => ({ weight, slots: createSlots(weight, rule, settings) }));
  const variables = targets.flatMap(({ slots }) => Object.values(slots));
  return {
    variables,
    step: (gradients, at) => {
      const own = (target: Target): Tensor => gradients.get(target.weight.name) as Tensor;
      rule.apply(
        targets.map((target) => ({ ...target, gradient: own(target) })),
        settings,
        at,
      );
    },
    dispose: () => variables.forEach((variable) => variable.dispose()),
  };
}

function createSlots(weight: Variable, rule: UpdateRule, settings: Settings): Record<string, Variable> {
  const kinds = Object.entries(rule.slots(weight.shape, settings));
  return Object.fromEntries(kinds.map(([kind, shape]) => [kind, createZeros(`${weight.name}.${kind}`, shape)]));
}
