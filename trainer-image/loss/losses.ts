import type { lossTypes } from '../../crds/dpojob.ts';
import type { Tensor } from '../engine/engine.ts';
import { sigmoid, sigmoidAtZeroMargin } from './sigmoid.ts';

/** Log-ratios of the answers against the reference, summed over tokens, each [pairs, 1]. */
export interface LogRatios {
  chosen: Tensor;
  rejected: Tensor;
}

/** Loss of each pair [pairs, 1] and its derivative by each pair's two log-ratios, [pairs, 1]. */
export type PreferenceLoss = (ratios: LogRatios, beta: Tensor) => { loss: Tensor; chosen: Tensor; rejected: Tensor };

export type LossType = (typeof lossTypes)[number];

/** Every loss, with its value where policy and reference are equal (the first step's). */
export const losses: Record<LossType, { pairLoss: PreferenceLoss; atZeroMargin: number }> = {
  sigmoid: { pairLoss: sigmoid, atZeroMargin: sigmoidAtZeroMargin },
};
