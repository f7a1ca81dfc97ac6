import type { DPOJobSpec } from '../../crds/dpojob.ts';
import type { LossType } from '../../crds/losses.ts';
import type { Dual } from './dual.ts';
import { sortedAnswers, sortedMargins, type Pairing } from './pairing.ts';
import * as formula from './preference.ts';
import type { PairLogProbs } from './scores.ts';

export type LossSettings = DPOJobSpec['training'];

/** What a formula reads of two answers. */
export interface PairTerms {
  chosen: Dual;
  rejected: Dual;
  lengths: PairLogProbs;
}

/** The loss of one pair. */
export type PreferenceLoss = (pair: PairTerms, settings: LossSettings) => Dual;

export interface Loss {
  /** What it says of a chosen answer against a rejected one. */
  preference?: PreferenceLoss;
  /** Weight of the chosen answers' cross-entropy, mean over the batch's chosen tokens. */
  likelihood?: (settings: LossSettings) => number;
  /** Which answers meet, where it is not those of a pair: such a loss needs the whole optimizer batch at once. */
  pairing?: Pairing;
  /** It measures answers by their mean over tokens, and so are its rewards where there is no reference. */
  averages?: true;
}

/** Every loss of the schema. */
export const losses: Record<LossType, Loss> = {
  sigmoid: { preference: formula.sigmoid },
  hinge: { preference: formula.hinge },
  ipo: { preference: formula.ipo },
  exo_pair: { preference: formula.exoPair },
  nca_pair: { preference: formula.ncaPair },
  robust: { preference: formula.robust },
  bco_pair: { preference: formula.bcoPair },
  sppo_hard: { preference: formula.sppoHard },
  aot: { preference: formula.cdpo, pairing: sortedMargins },
  aot_unpaired: { preference: formula.cdpo, pairing: sortedAnswers },
  apo_zero: { preference: formula.apoZero },
  apo_down: { preference: formula.apoDown },
  discopop: { preference: formula.discopop },
  sft: { likelihood: () => 1 },
  sigmoid_norm: { preference: formula.sigmoidNorm },
  cdpo: { preference: formula.cdpo },
  simpo: { preference: formula.simpo, averages: true },
  /** CPO (Xu et al. 2024, arXiv 2401.08417): DPO without a reference, and cross-entropy beside it. */
  cpo: { preference: formula.cdpo, likelihood: ({ cpoAlpha }) => cpoAlpha },
  /** ORPO (Hong et al. 2024, eq. 6): cross-entropy of the chosen answers and the odds ratio, in one stage. */
  orpo: { preference: formula.oddsRatio, likelihood: () => 1, averages: true },
};
