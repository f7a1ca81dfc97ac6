import { z } from 'zod';
import { implies, not, type Condition, type Rule } from './rules.ts';

/** The optimizer's part of `training`: names and defaults are those of transformers' TrainingArguments and of torch. */
export const optimizers = ['adamw', 'adafactor', 'lion', 'rmsprop', 'sgd'] as const;
export const schedules = ['linear', 'cosine', 'constant', 'constant_with_warmup', 'cosine_with_min_lr'] as const;

const defaults = { betas: [0.9, 0.999], epsilon: 1e-8, momentum: 0, rmspropAlpha: 0.99 };

/** Fields that a stage may have of its own. */
export const scheduleFields = {
  schedule: z
    .enum(schedules)
    .describe("Course of the learning rate after the warm-up, as transformers' scheduler of that name"),
  warmup: z.number().min(0).lt(1).describe('Share of all steps in which the learning rate rises'),
  minLrRate: z.number().gt(0).lt(1).describe('Share of the learning rate where cosine_with_min_lr ends'),
};

export const optimizerFields = {
  optimizer: z
    .enum(optimizers)
    .default('adamw')
    .describe("adafactor is transformers', lion lion-pytorch's, others torch's"),
  learningRate: z.number().gt(0).max(1).default(1e-6).describe('Highest learning rate of the schedule'),
  weightDecay: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('Applied to matrices, not norms and biases; decoupled, but L2 with rmsprop and sgd, as in torch'),
  betas: z
    .array(z.number().min(0).lt(1))
    .min(2)
    .max(2)
    .default(defaults.betas)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .describe("Decay rates of adamw and lion (lion's authors take 0.9 and 0.99)"),
  epsilon: z.number().gt(0).max(1).default(defaults.epsilon).describe("adamw's and rmsprop's"),
  momentum: z.number().min(0).lt(1).default(defaults.momentum).describe("rmsprop's and sgd's"),
  rmspropAlpha: z
    .number()
    .min(0)
    .lt(1)
    .default(defaults.rmspropAlpha)
    .describe("Decay rate of rmsprop's squared gradient: torch's alpha"),
  maxGradNorm: z.number().gt(0).max(1e9).default(1).describe('The gradient is scaled down to this L2 norm'),
  schedule: scheduleFields.schedule.default('linear'),
  warmup: scheduleFields.warmup.default(0),
  minLrRate: scheduleFields.minLrRate.optional(),
};

/** The course of a learning rate. */
export interface Course {
  schedule: (typeof schedules)[number];
  warmup: number;
  minLrRate?: number | undefined;
}

type Fields = z.output<z.ZodObject<typeof optimizerFields>>;
type Name = Fields['optimizer'];

/** CEL's numbers here are doubles: `0` alone would be an integer. */
const double = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

function isDefault(field: keyof typeof defaults): Condition<Fields> {
  const value = defaults[field];
  const cel = Array.isArray(value)
    ? value.map((each, i) => `self.${field}[${i}] == ${double(each)}`).join(' && ')
    : `self.${field} == ${double(value)}`;
  return { cel, holds: (self) => JSON.stringify(self[field]) === JSON.stringify(value) };
}

/** A setting may differ from its default only with an optimizer that reads it: it would change nothing. */
function belongsTo(field: keyof typeof defaults, names: Name[]): Rule<Fields> {
  const read: Condition<Fields> = {
    cel: `self.optimizer in [${names.map((name) => `'${name}'`).join(', ')}]`,
    holds: ({ optimizer }) => names.includes(optimizer),
  };
  const message = `${field} is a setting of optimizer ${names.join(' and ')} and would change nothing here: leave it out`;
  return { ...implies(not(read), isDefault(field)), field, message };
}

export const optimizerRules: readonly Rule<Fields>[] = [
  belongsTo('betas', ['adamw', 'lion']),
  belongsTo('epsilon', ['adamw', 'rmsprop']),
  belongsTo('momentum', ['rmsprop', 'sgd']),
  belongsTo('rmspropAlpha', ['rmsprop']),
  {
    cel: "self.schedule != 'constant' || self.warmup == 0.0",
    holds: ({ schedule, warmup }) => schedule !== 'constant' || warmup === 0,
    field: 'warmup',
    message: 'warmup has no meaning with schedule constant: use constant_with_warmup',
  },
  {
    cel: "has(self.minLrRate) == (self.schedule == 'cosine_with_min_lr')",
    holds: ({ schedule, minLrRate }) => (minLrRate !== undefined) === (schedule === 'cosine_with_min_lr'),
    field: 'minLrRate',
    message: 'minLrRate must be set with schedule cosine_with_min_lr, and with no other',
  },
];
