import { z } from 'zod';
import { outputFormats } from './lora.ts';
import { matching, withRules, type Rule } from './rules.ts';
import { isClaim, outputSource, pushSecretRef } from './sources.ts';

/** Where the trained model goes. */
const outputFields = z.object({
  source: outputSource.describe(
    'Folder that receives the trained model: pvc://claim/path; or where it is pushed to when it is trained: hf://org/name@branch (the repository and the branch are made where missing) or s3://bucket/prefix (the bucket must be there)',
  ),
  secretRef: pushSecretRef.optional(),
  private: z
    .boolean()
    .optional()
    .describe(
      "Whether a repository that is made on the Hub is private; by default as the account or organization has it, mostly public, which is huggingface_hub's default too. One that is there stays as it is",
    ),
  format: z
    .enum(outputFormats)
    .default('model')
    .describe("model: whole weights, adapters merged; adapter: PEFT's files alone, for the model of model.source"),
});

export const outputSchema = withRules(outputFields, [
  {
    field: 'secretRef',
    cel: "!has(self.secretRef) || !self.source.startsWith('pvc://')",
    holds: ({ source, secretRef }) => secretRef === undefined || !isClaim(source),
    message: 'output.secretRef lets in where the model is pushed to: a claim asks for none, leave it out',
  },
  {
    field: 'private',
    cel: "!has(self.private) || self.source.startsWith('hf://')",
    holds: ({ source, private: hidden }) => hidden === undefined || source.startsWith('hf://'),
    message:
      'output.private is of a repository on the Hub: leave it out, who may read a claim or a bucket is set there',
  },
]);

/** Where a job works whose output is not on a claim. */
export const workVolumeSchema = z.object({
  type: z
    .enum(['Claim', 'Ephemeral'])
    .default('Claim')
    .describe(
      'Claim: a claim of its own; Ephemeral: on the node of its pod, gone with it, so that a restart begins anew',
    ),
  size: withRules(z.string().max(32), [
    matching(
      /^([0-9]*[1-9][0-9]*([.][0-9]+)?|0+[.][0-9]*[1-9][0-9]*)([kMGTP]|[KMGTP]i)?$/,
      'must be a size above 0 such as 50Gi or 500G',
    ),
  ])
    .default('50Gi')
    .describe(
      'For checkpoints (with AdamW 12 bytes per trained parameter each, keep + 2 of them), what is fetched, and the exported model',
    ),
  storageClassName: withRules(z.string().min(1).max(253), [
    matching(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "must be a storage class's name, such as fast-ssd"),
  ])
    .optional()
    .describe("By default the cluster's default class"),
  accessMode: z
    .enum(['ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany'])
    .default('ReadWriteOnce')
    .describe('How nodes may mount it'),
});

interface Spec {
  output: { source: string };
  checkpoint: { volume?: z.output<typeof workVolumeSchema> | undefined };
}

/** Whether checkpoints go with the pod that saved them. */
export const isEphemeral = ({ output, checkpoint }: Spec): boolean =>
  !isClaim(output.source) && checkpoint.volume?.type === 'Ephemeral';

/** Rules between the output and the rest of the spec. */
export const outputRules: readonly Rule<Spec>[] = [
  {
    field: 'checkpoint.volume',
    cel: "!has(self.checkpoint.volume) || !self.output.source.startsWith('pvc://')",
    holds: ({ checkpoint, output }) => checkpoint.volume === undefined || !isClaim(output.source),
    message:
      "checkpoint.volume is made where output.source is pushed: beside a claim's output checkpoints lie in .dpo on that claim, leave it out",
  },
  {
    field: 'checkpoint.volume.storageClassName',
    cel: "!has(self.checkpoint.volume) || self.checkpoint.volume.type == 'Claim' || !has(self.checkpoint.volume.storageClassName)",
    holds: ({ checkpoint: { volume } }) => volume?.type !== 'Ephemeral' || volume.storageClassName === undefined,
    message: 'checkpoint.volume.storageClassName is of a claim: leave it out, an Ephemeral volume lies on the node',
  },
];
