import { cases, discarded, duelSteps, type Case, type CaseName, type Lengths } from './cases.ts';
import { ratioOf, speedOf, sum } from './figures.ts';
import { config } from './model.ts';
import { sameMeasured, type CaseResult, type Probe, type Results, type Run, type Summary } from './results.ts';
import type { StepFigures } from './side.ts';
import { stepWork } from './work.ts';

/** Best rate of a matrix product that was seen in a process, in GFLOP/s. */
export const limitOf = (taken: readonly StepFigures[]): number => Math.max(...taken.map(({ matmul = 0 }) => matmul));

/** Share of what the machine could do of the work that must be done, if all of it ran at the best matrix product's rate. */
export function limitShare(
  { lora }: Pick<Case, 'lora'>,
  steps: readonly (readonly Lengths[])[],
  taken: readonly StepFigures[],
): number {
  const work = sum(steps.slice(discarded).map((pairs) => stepWork(pairs, config, lora)));
  return work / 1e9 / speedOf(steps, taken).seconds / limitOf(taken);
}

/** Memory of TRL's setting that needs least, in MiB. */
const leanest = ({ probes }: CaseResult): number =>
  Math.min(...Object.values<Probe>(probes).map(({ peakMiB }) => peakMiB));

/** The figures of a case that the goals are set for. */
export function summaryOf(measured: Case, result: CaseResult): Summary {
  const steps = duelSteps(measured, result.setting);
  const [trl, ours] = [speedOf(steps, result.trl), speedOf(steps, result.ours)];
  const { overall, median } = ratioOf(result.trl, result.ours, ({ seconds }) => seconds);
  return {
    setting: result.setting,
    timesFaster: overall,
    median,
    ofFastest: ours.peakMiB / trl.peakMiB,
    ofLeanest: ours.peakMiB / leanest(result),
    ofMatmulLimit: limitShare(measured, steps, result.ours),
  };
}

export function runOf({ started, cases: results }: Results): Run {
  const summaries = Object.entries(results).map(([name, result]) => [name, summaryOf(cases[name as CaseName], result)]);
  return { started, cases: Object.fromEntries(summaries) };
}

/** How many runs before are kept. */
const kept = 2;

/** A run with those before that measured the same. */
export function withEarlier(results: Results, before: Results | undefined): Results {
  if (before === undefined || !sameMeasured(before, results)) return { ...results, earlier: [] };
  return { ...results, earlier: [runOf(before), ...before.earlier].slice(0, kept) };
}
