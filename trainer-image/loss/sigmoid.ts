import { ops } from '../engine/engine.ts';
import type { PreferenceLoss } from './losses.ts';

/**
 * Direct Preference Optimization (Rafailov et al. 2023, eq. 7): -log sigmoid(beta * (chosen - rejected)), where chosen and
 * rejected are the answers' log-ratios, log policy(y|x) - log reference(y|x), summed over tokens.
 * Written as softplus(-z), which neither overflows nor loses digits for any margin.
 */
export const sigmoid: PreferenceLoss = ({ chosen, rejected }, beta) => {
  const z = ops.mul(ops.sub(chosen, rejected), beta);
  const slope = ops.mul(ops.sigmoid(ops.neg(z)), beta);
  return { loss: ops.softplus(ops.neg(z)), chosen: ops.neg(slope), rejected: slope };
};

/** The loss at zero margin, where policy and reference are equal: ln 2. */
export const sigmoidAtZeroMargin = Math.LN2;
