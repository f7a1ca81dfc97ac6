/** Log-probabilities of a pair's answers: one number each, in the order a loss sees them. */
export interface PairLogProbs {
  chosen: number;
  rejected: number;
}

/** Log-probability of each token of a pair's answers. */
export interface PairTokens {
  chosen: Float32Array;
  rejected: Float32Array;
}

/** What a loss knows of a pair under the policy. */
export interface PairScores {
  /** Sums over each answer's tokens. */
  logProbs: PairLogProbs;
  /** Tokens of each answer. */
  lengths: PairLogProbs;
}

const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0);

/** Sums of the tokens' log-probabilities, in float64. */
export function sumTokens({ chosen, rejected }: PairTokens): PairLogProbs {
  return { chosen: sum(chosen), rejected: sum(rejected) };
}

/** Derivative of a loss by every token's log-probability, from that by their sums. */
export function tokenSlopes(slopes: PairLogProbs, { lengths }: PairScores): PairTokens {
  return {
    chosen: new Float32Array(lengths.chosen).fill(slopes.chosen),
    rejected: new Float32Array(lengths.rejected).fill(slopes.rejected),
  };
}

export function pairScores(tokens: PairTokens): PairScores {
  return {
    logProbs: sumTokens(tokens),
    lengths: { chosen: tokens.chosen.length, rejected: tokens.rejected.length },
  };
}
