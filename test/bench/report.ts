import { discarded, duelSteps, type Case, type Lengths } from './cases.ts';
import { ratioOf, speedOf, sum, type Ratio } from './figures.ts';
import { config } from './model.ts';
import type { CaseResult, EpochSide, Probe } from './results.ts';
import type { StepFigures } from './side.ts';
import { stepWork } from './work.ts';

type Steps = readonly (readonly Lengths[])[];

/** Best rate of a matrix product that was seen in a process, in GFLOP/s. */
export const limitOf = (taken: readonly StepFigures[]): number => Math.max(...taken.map(({ matmul = 0 }) => matmul));

/** Share of what the machine could do of the work that must be done, if all of it ran at the best matrix product's rate. */
export function limitShare({ lora }: Pick<Case, 'lora'>, steps: Steps, taken: readonly StepFigures[]): number {
  const work = sum(steps.slice(discarded).map((pairs) => stepWork(pairs, config, lora)));
  return work / 1e9 / speedOf(steps, taken).seconds / limitOf(taken);
}

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const gigabytes = (mebibytes: number): string => `${(mebibytes / 1024).toFixed(2)} GiB`;
const times = (ratio: number): string => `${ratio.toFixed(2)}×`;
const withRange = ({ median, least, most }: Ratio): string =>
  `${times(median)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
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

/** Memory of TRL's setting that needs least. */
const leanest = ({ probes }: CaseResult): number =>
  Math.min(...Object.values<Probe>(probes).map(({ peakMiB }) => peakMiB));

export const ratioHead = [
  'case',
  "TRL's fastest setting",
  'pairs/s TRL / ours',
  'tokens/s TRL / ours',
  'times faster (range of rounds)',
  'runs before',
  'by CPU seconds',
  'goal / at 85 % of the limit',
  'peak memory TRL / ours',
  "of TRL's fastest / leanest",
  'ours: of the matmul limit',
];

/** `earlier`: the median ratios of the runs before. */
export function ratioRow(measured: Case, result: CaseResult, earlier: readonly number[] = []): string[] {
  const steps = duelSteps(measured, result.setting);
  const [trl, ours] = [speedOf(steps, result.trl), speedOf(steps, result.ours)];
  return [
    measured.title,
    result.setting,
    slashed(trl.pairsPerSecond.toFixed(3), ours.pairsPerSecond.toFixed(3)),
    slashed(trl.tokensPerSecond.toFixed(0), ours.tokensPerSecond.toFixed(0)),
    withRange(ratioOf(result.trl, result.ours, ({ seconds }) => seconds)),
    earlier.map(times).join(', '),
    times(ratioOf(result.trl, result.ours, ({ cpuSeconds }) => cpuSeconds).overall),
    slashed(times(measured.goal), times(measured.bar)),
    slashed(gigabytes(trl.peakMiB), gigabytes(ours.peakMiB)),
    slashed((ours.peakMiB / trl.peakMiB).toFixed(2), (ours.peakMiB / leanest(result)).toFixed(2)),
    `${percent(limitShare(measured, steps, result.ours))} of ${limitOf(result.ours).toFixed(0)} GFLOP/s`,
  ];
}

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
