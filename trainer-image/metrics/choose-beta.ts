import { standardError } from '../data/quality/share.ts';

/** Held-out figures of one beta of a sweep, after its last step. */
export interface BetaResult {
  beta: number;
  /** Not to be compared between betas: each has a loss function of its own. */
  loss: number;
  accuracy: number;
  margin: number;
  /** KL(policy || reference) per answer token. */
  kl: number;
  /** Mean change of the chosen answers' log-probability against the reference. */
  chosenLogProbChange: number;
}

/** The beta that a sweep advises, and why. */
export interface BetaChoice {
  beta: number;
  reason: string;
}

/** What a sweep ends with: the figures in the order of its betas. */
export interface Sweep {
  results: BetaResult[];
  choice: BetaChoice;
}

const short = (value: number): string => String(Number(value.toPrecision(3)));

/**
 * The one-standard-error rule (Breiman et al. 1984, sec. 3.4.3) with KL as the measure of complexity: of the betas whose
 * held-out accuracy is at most one standard error below the best, the one that stays nearest to the reference, and the
 * higher beta of two at the same distance (the lower one where beta holds nothing, `holds`: ORPO's). `pairs` held-out pairs give the accuracies. Throws RangeError without a result.
 */
export function chooseBeta(results: readonly BetaResult[], pairs: number, holds = true): BetaChoice {
  const best = results.toSorted((a, b) => b.accuracy - a.accuracy)[0];
  if (best === undefined) throw new RangeError('there is no beta to choose from');
  const noise = standardError(best.accuracy, pairs);
  const equals = results.filter(({ accuracy }) => accuracy >= best.accuracy - noise);
  const chosen = equals.toSorted((a, b) => a.kl - b.kl || (holds ? b.beta - a.beta : a.beta - b.beta))[0] as BetaResult;
  const others =
    equals.length === 1
      ? 'no other is within one standard error'
      : `the smallest of ${equals.length} within one standard error (${short(noise)}, ${pairs} pairs) of the best accuracy, ${short(best.accuracy)}`;
  const which = results.length > 1 && equals.length === results.length ? alike(equals, { noise, pairs }) : others;
  const reason = `accuracy ${short(chosen.accuracy)} at a KL of ${short(chosen.kl)}, ${which}`;
  return { beta: chosen.beta, reason: reason + warning(best, { noise, pairs }) };
}

/** Accuracy tells none of the betas from another: nothing but the KL has chosen. */
function alike(results: readonly BetaResult[], { noise, pairs }: { noise: number; pairs: number }): string {
  const accuracies = results.map(({ accuracy }) => accuracy);
  const range = [...new Set([Math.min(...accuracies), Math.max(...accuracies)].map(short))].join(' to ');
  return `the smallest KL; the ${results.length} betas do not differ on accuracy (${range}, standard error ${short(noise)} on ${pairs} pairs): widen their range, or hold out more pairs, to tell them apart`;
}

/** Half of the pairs is what a coin gets right. */
function warning(best: BetaResult, { noise, pairs }: { noise: number; pairs: number }): string {
  if (best.accuracy - noise > 0.5) return '';
  return `; but none is better than chance on ${pairs} pairs: train longer, or hold out more of them`;
}
