import { createHash } from 'node:crypto';
import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { fileDigest } from '../checkpoint/store.ts';
import type { ComputePlan } from '../engine/compute-plan.ts';
import { readConfig } from '../model/config.ts';
import { weightFiles } from '../model/weights.ts';

/** Raised by hand when the trainer computes a forward pass in another way, so that its last bits change. */
const layoutVersion = 1;

/** sha256 of a model's configuration and weights; `beat` as they are read. */
export function modelDigest(folder: string, beat: () => void): string {
  const hash = createHash('sha256').update(JSON.stringify(readConfig(folder)));
  for (const file of weightFiles(folder)) hash.update(fileDigest(file, beat));
  return hash.digest('hex');
}

/** What decides the last bits of the reference's log-probabilities of given pairs. */
export interface Numerics {
  computePlan: ComputePlan;
  /** Which pairs share a micro-batch: the matrix products of more rows may be summed in another order. */
  microBatchTokens: number;
  /** Adapters change nothing at first, but DoRA's products are rounded in another way than those of the weights alone. */
  lora: DPOJobSpec['training']['lora'];
}

/** Names a reference and how it is computed; `weights` are digests of all that its weights came from. */
export const referenceIdentity = (weights: readonly string[], numerics: Numerics): string =>
  createHash('sha256')
    .update(JSON.stringify([layoutVersion, weights, numerics]))
    .digest('hex')
    .slice(0, 32);
