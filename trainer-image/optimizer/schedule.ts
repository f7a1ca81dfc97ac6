/**
 * Learning rate of step `step` (counted from 0) as transformers' schedulers give it: it rises linearly over the warm-up
 * steps from 0, then stays, or falls linearly to 0 at `total`.
 */
export function learningRateAt(
  step: number,
  total: number,
  schedule: { type: 'linear' | 'constant'; peak: number; warmup: number },
): number {
  const warmupSteps = Math.ceil(schedule.warmup * total);
  if (step < warmupSteps) return (schedule.peak * step) / Math.max(1, warmupSteps);
  if (schedule.type === 'constant') return schedule.peak;
  return schedule.peak * Math.max(0, (total - step) / Math.max(1, total - warmupSteps));
}
