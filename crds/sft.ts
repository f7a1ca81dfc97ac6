import { z } from 'zod';
import { scheduleFields, type Course } from './optimizer.ts';
import type { Rule } from './rules.ts';

/** The SFT stage's settings, but for its data: names are those of TRL's SFTConfig. */
export const sftFields = {
  epochs: z.number().gt(0).max(1000).default(1).describe('How often the rows are trained on'),
  learningRate: z.number().gt(0).max(1).default(2e-5).describe('Highest learning rate of its schedule'),
  batchSize: z
    .int()
    .min(1)
    .max(65_536)
    .default(8)
    .describe('Rows per optimizer step; with packing, blocks of maxLength tokens'),
  maxLength: z.int().min(2).max(1_048_576).optional().describe("Tokens of prompt and answer; by default training's"),
  packing: z
    .boolean()
    .default(false)
    .describe('Count an optimizer step in blocks filled with whole examples up to maxLength tokens, as TRL packs them'),
  schedule: scheduleFields.schedule.optional().describe("By default training's"),
  warmup: scheduleFields.warmup.optional().describe("By default training's"),
  minLrRate: scheduleFields.minLrRate.optional().describe("By default training's"),
};

interface Stages {
  sft?: { [field in keyof Course]?: Course[field] | undefined } | undefined;
  training: Course;
}

/** The course of the SFT stage's learning rate: training's, but for what `sft` sets itself. */
export function sftCourse({ sft, training }: Stages): Course {
  return {
    schedule: sft?.schedule ?? training.schedule,
    warmup: sft?.warmup ?? training.warmup,
    minLrRate: sft?.minLrRate ?? training.minLrRate,
  };
}

const own = (field: string): string => `(has(self.sft.${field}) ? self.sft.${field} : self.training.${field})`;

/** Rules of the spec: what `sft` leaves out is training's. */
export const sftRules: readonly Rule<Stages>[] = [
  {
    cel: `!has(self.sft) || ${own('schedule')} != 'constant' || ${own('warmup')} == 0.0`,
    holds: (spec) => spec.sft === undefined || sftCourse(spec).schedule !== 'constant' || sftCourse(spec).warmup === 0,
    field: 'sft.warmup',
    message:
      "sft.warmup, training's unless set, has no meaning with schedule constant: use constant_with_warmup, or set it to 0",
  },
  {
    cel: `!has(self.sft) || ${own('schedule')} != 'cosine_with_min_lr' || has(self.sft.minLrRate) || has(self.training.minLrRate)`,
    holds: (spec) =>
      spec.sft === undefined ||
      sftCourse(spec).schedule !== 'cosine_with_min_lr' ||
      sftCourse(spec).minLrRate !== undefined,
    field: 'sft.minLrRate',
    message: 'sft.minLrRate must be set with schedule cosine_with_min_lr',
  },
  {
    cel: `!has(self.sft) || !has(self.sft.minLrRate) || ${own('schedule')} == 'cosine_with_min_lr'`,
    holds: (spec) => spec.sft?.minLrRate === undefined || sftCourse(spec).schedule === 'cosine_with_min_lr',
    field: 'sft.minLrRate',
    message: 'sft.minLrRate has a meaning with schedule cosine_with_min_lr only: leave it out',
  },
];
