import { lowerBound } from './share.ts';

/** How far length alone predicts the preference. */
export interface LengthBias {
  /** Accuracy of the rule "the longer answer is chosen": 0.5 no bias, above it longer ones win, below it shorter ones. */
  longerChosen: number;
  pairs: number;
}

/** Counts, in tokens that are not truncated yet. Answers of equal length leave the rule a guess: half right. */
export class LengthCounter {
  private pairs = 0;
  private right = 0;

  add(chosen: number, rejected: number): void {
    this.pairs += 1;
    this.right += chosen === rejected ? 0.5 : Number(chosen > rejected);
  }

  bias(): LengthBias {
    return { longerChosen: this.right / this.pairs, pairs: this.pairs };
  }
}

/** Whether the better one of the two rules is surely right more often than `threshold`. */
export function biasedBeyond({ longerChosen, pairs }: LengthBias, threshold: number): boolean {
  return lowerBound(Math.max(longerChosen, 1 - longerChosen) * pairs, pairs) > threshold;
}
