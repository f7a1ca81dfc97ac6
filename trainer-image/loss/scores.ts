/** A number for each answer of a pair. */
export interface PairLogProbs {
  chosen: number;
  rejected: number;
}

/** A number for each token of a pair's answers. */
export interface PairTokens {
  chosen: Float32Array;
  rejected: Float32Array;
}

/** What a loss knows of a pair under the policy. */
export interface PairScores {
  /** Log-probability of each answer: the sum over its tokens, with LD-DPO's weights where `ldAlpha` is given. */
  logProbs: PairLogProbs;
  /** Sum of the chosen answer's log-probabilities without weights: what cross-entropy is of. */
  likelihood: number;
  /** Tokens of each answer. */
  lengths: PairLogProbs;
  /** WPO's weight of the pair; 1 without `useWeighting`. */
  weight: number;
}

/** Derivatives of a loss by what `PairScores` holds. */
export interface PairSlopes extends PairLogProbs {
  likelihood: number;
}

/** How answers of different lengths are made alike. */
interface Lengths {
  ldAlpha?: number | undefined;
}

const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0);
const mean = (values: Float32Array): number => sum(values) / values.length;

/**
 * Length-desensitised DPO (Liu et al. 2024, arXiv 2409.06411): tokens beyond the shorter answer's length weigh
 * `alpha` instead of 1. As TRL does, in the policy and in the reference.
 */
const tokenWeight = (token: number, shared: number, alpha: number): number => (token < shared ? 1 : alpha);

/**
 * Log-probability of each answer, in float64; `ldAlpha` 1 is the plain sum. It has a name where it is given: as a bare
 * number, an index that `map` hands on would pass for it.
 */
export function sumTokens({ chosen, rejected }: PairTokens, { ldAlpha = 1 }: Lengths = {}): PairLogProbs {
  const shared = Math.min(chosen.length, rejected.length);
  const weighed = (values: Float32Array): number =>
    values.reduce((total, value, token) => total + value * tokenWeight(token, shared, ldAlpha), 0);
  return { chosen: weighed(chosen), rejected: weighed(rejected) };
}

/** Derivative of a loss by every token's log-probability. */
export function tokenSlopes(slopes: PairSlopes, { lengths }: PairScores, ldAlpha = 1): PairTokens {
  const shared = Math.min(lengths.chosen, lengths.rejected);
  const along = (side: 'chosen' | 'rejected', likelihood: number): Float32Array =>
    new Float32Array(lengths[side]).map((_, token) => slopes[side] * tokenWeight(token, shared, ldAlpha) + likelihood);
  return { chosen: along('chosen', slopes.likelihood), rejected: along('rejected', 0) };
}

/**
 * Weighted Preference Optimization (Zhou et al. 2024, arXiv 2406.11827, eq. 2): an answer weighs the exponential of the
 * mean over its tokens of log p(token) - log sum_v p(v)^2, a pair the product of both. A constant: no gradient flows
 * through it. `logSumSquares`: log sum_v p(v)^2 at each token.
 */
export function wpoWeight(logProbs: PairTokens, logSumSquares: PairTokens): number {
  const ofAnswer = (side: 'chosen' | 'rejected'): number => mean(logProbs[side]) - mean(logSumSquares[side]);
  return Math.exp(ofAnswer('chosen') + ofAnswer('rejected'));
}

/** What a loss knows of a pair, from its tokens' log-probabilities; `logSumSquares` where pairs are weighed. */
export function pairScores(logProbs: PairTokens, ldAlpha?: number, logSumSquares?: PairTokens): PairScores {
  return {
    logProbs: sumTokens(logProbs, { ldAlpha }),
    likelihood: sum(logProbs.chosen),
    lengths: { chosen: logProbs.chosen.length, rejected: logProbs.rejected.length },
    weight: logSumSquares === undefined ? 1 : wpoWeight(logProbs, logSumSquares),
  };
}
