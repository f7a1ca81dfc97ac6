import type { PreferenceLoss } from './losses.ts';

/** The losses' formulas. c and r: log-ratios of the chosen and the rejected answer, log policy - log reference. */

/** Direct Preference Optimization (Rafailov et al. 2023, eq. 7): -log sigmoid(beta (c - r)). */
export const sigmoid: PreferenceLoss = ({ chosen, rejected }, { beta }) =>
  chosen.minus(rejected).times(beta).logSigmoid().negated();
