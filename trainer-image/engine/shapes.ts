/**
 * Shapes that repeat. On a CPU every micro-batch has its exact shape: recording its functions costs less than padding would.
 * A GPU is done with a micro-batch before its functions could be recorded: there lengths are rounded up to a few steps.
 */
let rounds = false;
const rows = { real: 0, computed: 0 };

/** Whether lengths are rounded up: chosen by the compute plan, for all models of the process. */
export const roundsShapes = (): boolean => rounds;
export function setRoundedShapes(on: boolean): void {
  rounds = on;
}

const smallest = 16;

/** The length itself, or where shapes are rounded the next of 16, 24, 32, 48, 64, 96 ...: less than a third is padding. */
export function roundedUp(length: number): number {
  if (!rounds) return length;
  const power = Math.max(smallest, 2 ** Math.ceil(Math.log2(length)));
  return power > smallest && length <= 0.75 * power ? 0.75 * power : power;
}

/** Notes what a micro-batch had, and what is computed for it. */
export function noteRows(real: number, computed: number): void {
  rows.real += real;
  rows.computed += computed;
}

/** Share of the rows computed so far that were padding. */
export const paddingShare = (): number => (rows.computed === 0 ? 0 : 1 - rows.real / rows.computed);
