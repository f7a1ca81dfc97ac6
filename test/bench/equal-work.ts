import type { StepFigures } from './side.ts';

/** Largest relative differences: of the first step, and of later ones, whose weights have gone through both optimizers. */
const tolerances = { first: 1e-3, later: 1e-2 };
/** Of the held-out loss after an epoch. */
const heldOutTolerance = 0.01;

const difference = (theirs: number, ours: number): number => Math.abs(ours - theirs) / Math.max(Math.abs(theirs), 1e-9);

/** The largest relative difference of a step's loss or gradient norm. */
export function stepDifference(trl: StepFigures, ours: StepFigures): number {
  return Math.max(difference(trl.loss, ours.loss), difference(trl.gradNorm, ours.gradNorm));
}

/** Throws when the sides' losses or gradients differ: then they have not done the same work. */
export function checkEqualWork(trl: readonly StepFigures[], ours: readonly StepFigures[]): void {
  for (const [i, theirs] of trl.entries()) {
    const mine = ours[i] as StepFigures;
    const tolerance = i === 0 ? tolerances.first : tolerances.later;
    if (stepDifference(theirs, mine) <= tolerance) continue;
    const figures = ({ loss, gradNorm }: StepFigures): string => `loss ${loss}, gradient norm ${gradNorm}`;
    throw new Error(`step ${i + 1} is not the same work: TRL ${figures(theirs)}; ours ${figures(mine)}`);
  }
}

/** Throws when the held-out losses differ by more than 1 %. */
export function checkHeldOut(theirs: number, ours: number): void {
  if (difference(theirs, ours) <= heldOutTolerance) return;
  throw new Error(`the held-out loss is ${theirs} by TRL and ${ours} by ours: more than 1 % apart`);
}
