import type { DPOJobSpec, lossTypes } from '../../crds/dpojob.ts';
import type { Dual } from './dual.ts';
import { sigmoid } from './preference.ts';

/** What the formula of a loss reads: the log-probabilities of a pair's answers less the reference's. */
export interface PairTerms {
  chosen: Dual;
  rejected: Dual;
}

export type LossSettings = Pick<DPOJobSpec['training'], 'beta'>;

/** The loss of one pair. */
export type PreferenceLoss = (pair: PairTerms, settings: LossSettings) => Dual;

export type LossType = (typeof lossTypes)[number];

/** Every loss of the schema. */
export const losses = { sigmoid } satisfies Record<LossType, PreferenceLoss>;
