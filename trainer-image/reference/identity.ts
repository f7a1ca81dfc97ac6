import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { fileDigest } from '../checkpoint/store.ts';
import type { ComputePlan } from '../engine/compute-plan.ts';
import { readConfig } from '../model/config.ts';
import { adapterFiles, weightFiles } from '../model/weights.ts';

/** Raised by hand when the trainer computes a forward pass in another way, so that its last bits change. */
const layoutVersion = 1;

/**
 * sha256 of a model's configuration and weights, and of those of an adapter that it begins with; `beat` as they are read.
 * The adapter's settings are the job's.
 */
export function modelDigest(folder: string, beat: () => void, adapter?: string): string {
  const hash = createHash('sha256').update(JSON.stringify(readConfig(folder)));
  for (const file of weightFiles(folder)) hash.update(fileDigest(file, beat));
  if (adapter !== undefined) hash.update(fileDigest(join(adapter, adapterFiles.weights), beat));
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
