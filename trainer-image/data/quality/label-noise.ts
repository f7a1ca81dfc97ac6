import { lowerBound } from './share.ts';

/** Share of wrong preferences, and the pairs that say so. */
export interface LabelNoise {
  noise: number;
  /** Pairs that the reference is sure of, for or against the label. */
  confident: number;
}

/**
 * Estimates how many preferences are wrong by confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068, eq. 1
 * and 2). The classifier is the reference: P(chosen is better) = sigmoid(margin), where the margin is the difference of
 * the answers' mean log-probabilities per token (the reward of SimPO, Meng et al. 2024, arXiv:2405.14734: a sum would mostly count tokens).
 * Which answer comes first means nothing, so both classes have the same threshold, the mean probability of the given label. A
 * pair counts as right when its label's probability reaches the threshold, as wrong when the other label's does (the
 * likelier one if both do), and not at all otherwise; the noise is wrong / (wrong + right).
 *
 * A reference that knows nothing of the preference gives about 0.5 whatever the labels are: the figure is an upper bound
 * that is good only as far as the reference is. Far above 0.5 the answers are probably swapped throughout.
 *
 * `margins` in nats per token, at least one.
 */
export function labelNoise(margins: Float64Array): LabelNoise {
  const given = margins.map((margin) => 1 / (1 + Math.exp(-margin)));
  const threshold = given.reduce((sum, p) => sum + p, 0) / given.length;
  const likelierReaches = (p: number): boolean => Math.max(p, 1 - p) >= threshold;
  const sure = given.filter(likelierReaches);
  const wrong = sure.filter((p) => p < 0.5).length;
  return { noise: wrong / sure.length, confident: sure.length };
}

/**
 * Whether the share is surely above `threshold` over all pairs, and alike over those whose chosen answer is the longer one and
 * those whose chosen answer is the shorter one: a reference that only likes one length contradicts all of the ones and none of the others.
 * `lengths`: tokens of chosen minus rejected; equal ones count in both. False where all chosen answers are on one side of it.
 */
export function noisyAtAnyLength(margins: Float64Array, lengths: Int32Array, threshold: number): boolean {
  const parts = [margins, margins.filter((_, i) => at(lengths, i) >= 0), margins.filter((_, i) => at(lengths, i) <= 0)];
  return parts.every((part) => part.length > 0 && noisyBeyond(labelNoise(part), threshold));
}
const at = (lengths: Int32Array, i: number): number => lengths[i] as number;

/** Whether the share of wrong preferences is surely above `threshold`. */
export function noisyBeyond({ noise, confident }: LabelNoise, threshold: number): boolean {
  return lowerBound(noise * confident, confident) > threshold;
}
