import type { Dual } from './dual.ts';
import type { PairTerms, PreferenceLoss, LossSettings } from './losses.ts';

/**
 * The losses' formulas, as TRL 1.16 computes them. c and r: score of the chosen and of the rejected answer, which is its
 * log-ratio log policy - log reference, or what the f-divergence makes of it; without a reference its log-probability.
 * s: the logistic function; e: labelSmoothing; |c|, |r|: tokens of the answers.
 */
const margin = ({ chosen, rejected }: PairTerms, { beta }: LossSettings): Dual => chosen.minus(rejected).times(beta);
const averageMargin = ({ chosen, rejected, lengths }: PairTerms): Dual =>
  chosen.times(1 / lengths.chosen).minus(rejected.times(1 / lengths.rejected));
/** -log s(z). */
const logistic = (z: Dual): Dual => z.logSigmoid().negated();
/** -(1 - e) log s(z) - e log s(-z). */
const smoothedLogistic = (z: Dual, { labelSmoothing }: LossSettings): Dual =>
  logistic(z)
    .times(1 - labelSmoothing)
    .plus(logistic(z.negated()).times(labelSmoothing));

/** DPO (Rafailov et al. 2023, arXiv 2305.18290, eq. 7): -log s(beta (c - r)). Label smoothing is `cdpo`. */
export const sigmoid: PreferenceLoss = (pair, settings) => logistic(margin(pair, settings));

/** Conservative DPO (Mitchell 2023, ericmitchell.ai/cdpo.pdf, eq. 3): labels are wrong with share e. */
export const cdpo: PreferenceLoss = (pair, settings) => smoothedLogistic(margin(pair, settings), settings);

/** Hinge of SLiC (Zhao et al. 2023, arXiv 2305.10425) on log-ratios (RSO, Liu et al. 2023, arXiv 2309.06657): max(0, 1 - beta (c - r)). */
export const hinge: PreferenceLoss = (pair, settings) => margin(pair, settings).negated().plus(1).relu();

/**
 * IPO (Azar et al. 2023, arXiv 2310.12036, eq. 17): (c/|c| - r/|r| - 1/(2 beta))^2. Averages over tokens, as the authors
 * confirmed to TRL; other trainers take sums.
 */
export const ipo: PreferenceLoss = (pair, { beta }) =>
  averageMargin(pair)
    .minus(1 / (2 * beta))
    .squared();

/** EXO (Ji et al. 2024, arXiv 2402.00856, eq. 16): the reverse KL between (s(z), s(-z)), z = beta (c - r), and (1 - e, e). */
export const exoPair: PreferenceLoss = (pair, settings) => {
  const z = margin(pair, settings);
  const part = (x: Dual, target: number): Dual => x.sigmoid().times(x.logSigmoid().minus(Math.log(target)));
  return part(z, 1 - settings.labelSmoothing).plus(part(z.negated(), settings.labelSmoothing));
};

/** NCA (Chen et al. 2024, arXiv 2402.05369): -log s(beta c) - (log s(-beta c) + log s(-beta r)) / 2. */
export const ncaPair: PreferenceLoss = ({ chosen, rejected }, { beta }) => {
  const [c, r] = [chosen.times(beta), rejected.times(beta)];
  return logistic(c).plus(logistic(c.negated()).plus(logistic(r.negated())).times(0.5));
};

/** Robust DPO (Chowdhury et al. 2024, arXiv 2403.00409): (-(1 - e) log s(z) + e log s(-z)) / (1 - 2 e). */
export const robust: PreferenceLoss = (pair, settings) => {
  const { labelSmoothing: e } = settings;
  const z = margin(pair, settings);
  return logistic(z)
    .times(1 - e)
    .minus(logistic(z.negated()).times(e))
    .times(1 / (1 - 2 * e));
};

/** BCO on pairs, without its running shift (Jung et al. 2024, arXiv 2404.04656): -log s(beta c) - log s(-beta r). */
export const bcoPair: PreferenceLoss = ({ chosen, rejected }, { beta }) =>
  logistic(chosen.times(beta)).plus(logistic(rejected.times(-beta)));

/** SPPO with hard labels (Wu et al. 2024, arXiv 2405.00675): (c - 1/(2 beta))^2 + (r + 1/(2 beta))^2. */
export const sppoHard: PreferenceLoss = ({ chosen, rejected }, { beta }) =>
  chosen
    .minus(1 / (2 * beta))
    .squared()
    .plus(rejected.plus(1 / (2 * beta)).squared());

/** APO-zero (D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7), for a policy worse than the answers: 1 - s(beta c) + s(beta r). */
export const apoZero: PreferenceLoss = ({ chosen, rejected }, { beta }) =>
  chosen.times(beta).sigmoid().negated().plus(1).plus(rejected.times(beta).sigmoid());

/** APO-down (same paper, eq. 8), for a policy better than the answers: s(beta c) + 1 - s(beta (c - r)). */
export const apoDown: PreferenceLoss = (pair, settings) =>
  pair.chosen.times(settings.beta).sigmoid().plus(1).minus(margin(pair, settings).sigmoid());

/**
 * DiscoPOP (Lu et al. 2024, arXiv 2406.08414, eq. 5): (1 - m) * -log s(z) + m * exp(-z), m = s(z / tau). The second term
 * is exp(-z + log m): exp(-z) alone overflows where m takes the product to 0.
 */
export const discopop: PreferenceLoss = (pair, settings) => {
  const z = margin(pair, settings);
  const tilted = z.times(1 / settings.discopopTau);
  return logistic(z).times(tilted.negated().sigmoid()).plus(tilted.logSigmoid().minus(z).exp());
};

/** DPO on averages over tokens (Tülu 3, Lambert et al. 2024, arXiv 2411.15124): -log s(beta (c/|c| - r/|r|)). */
export const sigmoidNorm: PreferenceLoss = (pair, { beta }) => logistic(averageMargin(pair).times(beta));

/**
 * SimPO (Meng et al. 2024, arXiv 2405.14734, eq. 6): -log s(beta (c/|c| - r/|r|) - gamma), without reference; smoothed as
 * TRL's CPOTrainer does.
 */
export const simpo: PreferenceLoss = (pair, settings) =>
  smoothedLogistic(averageMargin(pair).times(settings.beta).minus(settings.simpoGamma), settings);

/**
 * ORPO's odds ratio (Hong et al. 2024, arXiv 2403.07691, eq. 4 and 7), times beta (the paper's lambda): -beta log s(log odds(c)
 * - log odds(r)), where odds = p / (1 - p) of an answer's mean token probability p = exp(c/|c|).
 */
export const oddsRatio: PreferenceLoss = ({ chosen, rejected, lengths }, { beta }) => {
  const logOdds = (answer: Dual, length: number): Dual => {
    const average = answer.times(1 / length);
    return average.minus(average.log1mexp());
  };
  return logistic(logOdds(chosen, lengths.chosen).minus(logOdds(rejected, lengths.rejected))).times(beta);
};
