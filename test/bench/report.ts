import { discarded, type Case, type Lengths } from './cases.ts';
import { speedOf, sum } from './figures.ts';
import { config } from './model.ts';
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

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
export const gigabytes = (mebibytes: number): string => `${(mebibytes / 1024).toFixed(2)} GiB`;

/** Rows of cells as columns for a terminal. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export const oursHead = ['case', 'pairs/s', 'tokens/s', 'CPU s/step', 'peak', 'of matmul limit', 'first step'];

export function oursRow(
  measured: Case,
  steps: readonly (readonly Lengths[])[],
  taken: readonly StepFigures[],
): string[] {
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
