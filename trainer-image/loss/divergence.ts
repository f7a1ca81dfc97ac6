import type { DPOJobSpec } from '../../crds/dpojob.ts';
import type { Dual } from './dual.ts';

type Training = DPOJobSpec['training'];

/** The exponent at which TRL's alpha divergence is cut off. */
const largestExponent = 80;

/**
 * f-DPO (Wang et al. 2023, arXiv 2309.16240, table 1): the score f'(ratio) of a divergence, shifted to be 0 where policy
 * and reference agree, as a function of the log-ratio u. reverse_kl is DPO itself.
 */
export const divergences = {
  reverse_kl: (u) => u,
  forward_kl: (u) => u.negated().expm1().negated(),
  js_divergence: (u) => u.logSigmoid().plus(Math.LN2),
  alpha_divergence: (u, { fAlphaDivergenceCoef: alpha }) => {
    // Its limit for alpha -> 1 is reverse_kl.
    if (Math.abs(alpha - 1) < 1e-6) return u;
    return u
      .times(alpha - 1)
      .atMost(largestExponent)
      .expm1()
      .times(1 / (alpha - 1));
  },
} satisfies Record<Training['fDivergence'], (u: Dual, settings: Training) => Dual>;
