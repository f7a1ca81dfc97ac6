import { z } from 'zod';
import type { LossType } from './losses.ts';
import { needsReference, referenceFree } from './losses.ts';
import type { Rule } from './rules.ts';
import { claimSource, digest, modelSource, secretRef } from './sources.ts';

/** The model that the policy is held near. Names are those of TRL's DPOConfig: sync_ref_model, ref_model_mixup_alpha ... */
export const referenceSchema = z
  .object({
    source: modelSource
      .optional()
      .describe(
        'Folder of a reference model of its own, of any architecture with the same tokenizer; by default the reference is the weights at the start of the preference stage: the SFT result, else the model',
      ),
    secretRef: secretRef.optional(),
    digest: digest.optional().describe("sha256: of its weights, as model's digest"),
    precompute: z
      .boolean()
      .default(true)
      .describe(
        'Compute its log-probabilities once, before the preference stage; false keeps it in memory beside the policy and computes them with each micro-batch, and the labels of the data are not judged',
      ),
    syncSteps: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .optional()
      .describe(
        "TR-DPO: every so many steps mixupAlpha of the policy goes into the reference (TRL's ref_model_sync_steps; its default is 512)",
      ),
    mixupAlpha: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe(
        'Share of the policy in the synced reference, alpha x policy + (1 - alpha) x reference; by default 0.6',
      ),
  })
  .prefault({});

type Reference = z.output<typeof referenceSchema>;

/** TRL's ref_model_mixup_alpha. */
const defaultMixupAlpha = 0.6;

/** How the reference follows the policy; undefined where it stays. */
export function syncOf({ syncSteps, mixupAlpha }: Reference): { steps: number; alpha: number } | undefined {
  return syncSteps === undefined ? undefined : { steps: syncSteps, alpha: mixupAlpha ?? defaultMixupAlpha };
}

interface Spec {
  reference: Reference;
  training: { loss: { type: LossType; weight: number }[]; lora?: object | undefined };
}

/** Rules between the reference and the rest of the spec. */
export const referenceRules: readonly Rule<Spec>[] = [
  {
    cel: '!has(self.reference.syncSteps) || !self.reference.precompute',
    holds: ({ reference }) => reference.syncSteps === undefined || !reference.precompute,
    field: 'reference.syncSteps',
    message: 'reference.syncSteps changes the reference during training: set reference.precompute to false',
  },
  {
    cel: '!has(self.reference.mixupAlpha) || has(self.reference.syncSteps)',
    holds: ({ reference }) => reference.mixupAlpha === undefined || reference.syncSteps !== undefined,
    field: 'reference.mixupAlpha',
    message: 'reference.mixupAlpha is read with reference.syncSteps only: set both, or leave it out',
  },
  {
    cel: '!(has(self.reference.secretRef) || has(self.reference.digest)) || has(self.reference.source)',
    holds: ({ reference: { source, secretRef: secret, digest: given } }) =>
      source !== undefined || (secret === undefined && given === undefined),
    field: 'reference.source',
    message: 'reference.secretRef and reference.digest are those of reference.source: set it, or leave them out',
  },
  {
    cel: `!(has(self.reference.source) || !self.reference.precompute) || !self.training.loss.all(l, l.type in [${referenceFree.map((type) => `'${type}'`).join(', ')}])`,
    holds: ({ reference, training }) =>
      (reference.source === undefined && reference.precompute) || needsReference(training),
    field: 'reference',
    message: `reference: no term of training.loss measures against a reference (${referenceFree.join(', ')} do not): leave its fields out`,
  },
  {
    cel: '!has(self.training.lora) || self.reference.precompute || has(self.reference.source)',
    holds: ({ reference, training }) =>
      training.lora === undefined || reference.precompute || reference.source !== undefined,
    field: 'reference.precompute',
    message:
      'reference.precompute: false would keep a second copy of the model, which training.lora is there to avoid: leave it at true',
  },
  {
    cel: '!has(self.training.lora) || !has(self.reference.syncSteps)',
    holds: ({ reference, training }) => training.lora === undefined || reference.syncSteps === undefined,
    field: 'reference.syncSteps',
    message: 'reference.syncSteps mixes whole weights, and training.lora trains none: choose one of the two',
  },
];

/** What jobs may share. */
export const cacheSchema = z
  .object({
    source: claimSource.describe(
      'Folder that jobs share, pvc://claim/path: fetched models and data, and the log-probabilities of references, so that later jobs need not compute them again. Its claim is mounted writable; the folder may be removed at any time',
    ),
  })
  .optional()
  .describe(
    "By default fetched sources are kept in .dpo/cache on the output's claim, and the reference beside the checkpoints",
  );
