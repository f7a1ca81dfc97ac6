/** A number of ours beside the same number of TRL's, transformers' or PyTorch's, or of a formula worked out. */
export interface Compared {
  what: string;
  own: number;
  theirs: number;
  tolerance: number;
}

/** Numbers of one case by what they are of; the names are columns in docs/parity.md. */
export type Parts = Record<string, Compared[]>;

export const deviationOf = ({ own, theirs }: Compared): number => Math.abs(own - theirs);

/** Deviation as a share of what is tolerated; Infinity for a number that is none. */
export function shareOf(one: Compared): number {
  const share = deviationOf(one) / one.tolerance;
  return Number.isNaN(share) ? Infinity : share;
}

/** The number that is nearest to its tolerance, or farthest beyond. Throws RangeError where nothing was compared. */
export function worstOf(numbers: readonly Compared[]): Compared {
  if (numbers.length === 0) throw new RangeError('nothing was compared');
  return numbers.reduce((worst, one) => (shareOf(one) > shareOf(worst) ? one : worst));
}

/** Throws Error that names the worst number when it is beyond its tolerance. */
export function requireWithin(parts: Parts): void {
  for (const [part, numbers] of Object.entries(parts)) {
    const worst = worstOf(numbers);
    if (shareOf(worst) <= 1) continue;
    const { what, own, theirs, tolerance } = worst;
    throw new Error(`${part}, ${what}: ${own} where ${theirs} is expected, tolerance ${tolerance}`);
  }
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
