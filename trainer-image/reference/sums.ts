import type { PairLogProbs } from '../loss/scores.ts';

/** Log-probabilities of the answers of many pairs by the pairs' number, in 16 bytes each. */
export class PairSums {
  private readonly chosen: Float64Array;
  private readonly rejected: Float64Array;

  constructor(pairs: number) {
    this.chosen = new Float64Array(pairs);
    this.rejected = new Float64Array(pairs);
  }

  set(pair: number, { chosen, rejected }: PairLogProbs): void {
    this.chosen[pair] = chosen;
    this.rejected[pair] = rejected;
  }

  at(pair: number): PairLogProbs {
    return { chosen: this.chosen[pair] as number, rejected: this.rejected[pair] as number };
  }
}
