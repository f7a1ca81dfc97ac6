import { cases, discarded, duelSteps, type Case, type CaseName, type Lengths } from './cases.ts';
import { ratioOf, speedOf, sum, type Ratio } from './figures.ts';
import type { CaseResult, EpochSide, Probe, Run, Summary } from './results.ts';
import { limitOf, limitShare, summaryOf } from './runs.ts';
import type { StepFigures } from './side.ts';

type Steps = readonly (readonly Lengths[])[];

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const gigabytes = (mebibytes: number): string => `${(mebibytes / 1024).toFixed(2)} GiB`;
export const times = (ratio: number): string => `${ratio.toFixed(2)}×`;
const withRange = ({ median, least, most }: Ratio): string =>
  `${times(median)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
const memoryShares = ({ ofFastest, ofLeanest }: Summary): string => slashed(ofFastest.toFixed(2), ofLeanest.toFixed(2));
const slashed = (...cells: readonly string[]): string => cells.join(' / ');

/** Rows of cells as columns for a terminal. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  const line = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i] as number)).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

/** Rows of cells as a table in Markdown; the first is its head. */
export function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

export const oursHead = ['case', 'pairs/s', 'tokens/s', 'CPU s per step', 'peak memory', 'of the limit', 'first step'];

export function oursRow(measured: Case, steps: Steps, taken: readonly StepFigures[]): string[] {
  const speed = speedOf(steps, taken);
  return [
    measured.title,
    speed.pairsPerSecond.toFixed(3),
    speed.tokensPerSecond.toFixed(0),
    (speed.cpuSeconds / (taken.length - discarded)).toFixed(2),
    gigabytes(speed.peakMiB),
    `${percent(limitShare(measured, steps, taken))} of ${limitOf(taken).toFixed(0)} GFLOP/s`,
    `${(taken[0]?.firstStepSeconds ?? NaN).toFixed(1)} s`,
  ];
}

/** How ours does beside an earlier result of the same pairs: by the clock, and by what the processors worked. */
export function comparison(taken: readonly StepFigures[], before: readonly StepFigures[] | undefined): string {
  if (before === undefined) return 'none';
  const total = (steps: readonly StepFigures[], of: (step: StepFigures) => number): number =>
    sum(steps.slice(discarded).map(of));
  const faster = (of: (step: StepFigures) => number): string => times(total(before, of) / total(taken, of));
  return `${faster(({ seconds }) => seconds)}, ${faster(({ cpuSeconds }) => cpuSeconds)} by CPU seconds`;
}

export const ratioHead = [
  'case',
  "TRL's fastest setting",
  'pairs/s TRL / ours',
  'tokens/s TRL / ours',
  'times faster',
  'median of rounds (range)',
  'by CPU seconds',
  'goal',
  'peak memory TRL / ours',
  "of TRL's fastest / leanest",
  'ours: of the matmul limit',
];

export function ratioRow(measured: Case, result: CaseResult): string[] {
  const steps = duelSteps(measured, result.setting);
  const [trl, ours] = [speedOf(steps, result.trl), speedOf(steps, result.ours)];
  const summary = summaryOf(measured, result);
  return [
    measured.title,
    result.setting,
    slashed(trl.pairsPerSecond.toFixed(3), ours.pairsPerSecond.toFixed(3)),
    slashed(trl.tokensPerSecond.toFixed(0), ours.tokensPerSecond.toFixed(0)),
    times(summary.timesFaster),
    withRange(ratioOf(result.trl, result.ours, ({ seconds }) => seconds)),
    times(ratioOf(result.trl, result.ours, ({ cpuSeconds }) => cpuSeconds).overall),
    times(measured.goal),
    slashed(gigabytes(trl.peakMiB), gigabytes(ours.peakMiB)),
    memoryShares(summary),
    `${percent(summary.ofMatmulLimit)} of ${limitOf(result.ours).toFixed(0)} GFLOP/s`,
  ];
}

export const runHead = [
  'run',
  'case',
  "TRL's fastest setting",
  'times faster',
  'median of rounds',
  "of TRL's memory, fastest / leanest",
  'of the matmul limit',
];

/** A row for each case of a run. */
export const runRows = ({ started, cases: summaries }: Run): string[][] =>
  Object.entries(summaries).map(([name, summary]) => [
    started.slice(0, 16).replace('T', ' '),
    cases[name as CaseName].title,
    summary.setting,
    times(summary.timesFaster),
    times(summary.median),
    memoryShares(summary),
    percent(summary.ofMatmulLimit),
  ]);

export const probeHead = ['case', 'setting', 'two steps', 'peak memory'];

export const probeRows = (measured: Case, { probes }: CaseResult): string[][] =>
  Object.entries<Probe>(probes).map(([setting, { seconds, peakMiB }]) => [
    measured.title,
    setting,
    `${seconds.toFixed(1)} s`,
    gigabytes(peakMiB),
  ]);

export const epochHead = ['', 'reference pass', 'training', 'pairs/s with both', 'held-out loss'];

export const epochRow = (name: string, pairs: number, side: EpochSide): string[] => [
  name,
  `${side.referenceSeconds.toFixed(1)} s`,
  `${side.trainSeconds.toFixed(1)} s`,
  (pairs / (side.referenceSeconds + side.trainSeconds)).toFixed(3),
  side.heldOutLoss.toFixed(4),
];
