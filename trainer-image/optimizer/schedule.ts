import type { DPOJobSpec } from '../../crds/dpojob.ts';

export type ScheduleName = DPOJobSpec['training']['schedule'];

/** The course of the learning rate over a stage: `learningRate` is its peak, at the end of the warm-up. */
export type Schedule = Pick<DPOJobSpec['training'], 'schedule' | 'learningRate' | 'warmup'> & {
  minLrRate?: number | undefined;
};

const cosine = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));

/** Share of the peak by the share of the steps after the warm-up that is done, as transformers' schedulers give it. */
const shapes = {
  linear: (progress) => 1 - progress,
  cosine,
  constant: () => 1,
  constant_with_warmup: () => 1,
  cosine_with_min_lr: (progress, least) => cosine(progress) * (1 - least) + least,
} satisfies Record<ScheduleName, (progress: number, least: number) => number>;

/** Learning rate of step `step` (counted from 0) of `total`: it rises linearly from 0, then follows its shape to the end. */
export function learningRateAt(step: number, total: number, course: Schedule): number {
  const { schedule, learningRate, warmup, minLrRate = 0 } = course;
  const warmupSteps = Math.ceil(warmup * total);
  if (step < warmupSteps) return (learningRate * step) / warmupSteps;
  const progress = (step - warmupSteps) / Math.max(1, total - warmupSteps);
  return learningRate * Math.max(0, shapes[schedule](progress, minLrRate));
}
