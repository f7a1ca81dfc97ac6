import { z } from 'zod';
import { evaluationRules, evaluationSchema } from './evaluation.ts';
import { computeFields } from './compute.ts';
import { acceleratorRules, acceleratorSchema } from './accelerator.ts';
import { columnsSchema, configuration, datasetRules, datasetSource, mixture, sourceRules, split } from './dataset.ts';
import { adapterRules, loraRules, loraSchema } from './lora.ts';
import { lossFields, lossRules } from './losses.ts';
import { optimizerFields, optimizerRules } from './optimizer.ts';
import { outputRules, outputSchema, workVolumeSchema } from './output.ts';
import { podSchema } from './pod.ts';
import { qualitySchema } from './quality.ts';
import { matching, withRules } from './rules.ts';
import { cacheSchema, referenceRules, referenceSchema } from './reference.ts';
import { sftFields, sftRules } from './sft.ts';
import { dataSource, digest, modelSource, secretRef } from './sources.ts';
import type { DPOJobStatus } from './status.ts';

/**
 * The DPOJob API, once: types, defaults, validation, the CRD's schema (generate.ts) and its documentation come from here.
 * Names are TRL's where TRL has the concept, Job's for the lifecycle. A rule that a field's type cannot carry is a CEL
 * rule in `meta`, so that the API server enforces it; the trainer checks it again by parsing with the same schema.
 */
export const group = 'training.dpo-operator.io';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;
export const kind = 'DPOJob';
export const plural = 'dpojobs';

/** Longest name of a DPOJob: with "-<attempt>" and the pod's suffix it still fits in 63 characters. */
export const maxNameLength = 47;
/** What a name must be, for the API server and by hand: a DNS label that begins with a letter. */
export const namePattern = '^[a-z]([-a-z0-9]*[a-z0-9])?$';

const seconds = (least = 0): z.ZodInt => z.int().min(least).max(31_536_000);

const modelSchema = z.object({
  source: modelSource.describe(
    'Folder with config.json, safetensors weights and tokenizer.json: pvc://claim/path, hf://org/name@revision, s3://bucket/key or https://host/path',
  ),
  adapter: z
    .object({
      source: modelSource.describe(
        "Folder that PEFT's save_pretrained wrote: adapter_config.json and adapter_model.safetensors",
      ),
      secretRef: secretRef.optional(),
      digest: digest.optional().describe('sha256: of adapter_model.safetensors'),
    })
    .optional()
    .describe(
      "PEFT adapter for this model that training begins with; the reference is its frozen copy, or what sft makes of it. training.lora must have the adapter's own settings",
    ),
  secretRef: secretRef.optional(),
  digest: digest
    .optional()
    .describe(
      "sha256: of model.safetensors, as in another job's status.output.digest, or of what sha256sum prints of all safetensors files",
    ),
  chatTemplate: z.string().min(1).max(65_536).optional().describe("Jinja template used instead of the model's own"),
});

const datasetFields = z.object({
  ...datasetSource,
  sources: mixture,
  columns: columnsSchema,
  holdout: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.02)
    .describe('Share of prompts held out for evaluation, chosen by a hash of the normalised prompt'),
  evalSource: dataSource.optional().describe('Held-out pairs in a file of their own, used instead of holdout'),
  evalSplit: split.describe('Split of evalSource on the Hub; by default test'),
  evalSubset: configuration.describe(
    'Configuration of evalSource on the Hub; by default subset, where evalSource is the same data set',
  ),
  maxPairs: z.int().min(1).max(1_000_000_000).optional().describe('Use only the first pairs of the file'),
  shuffle: z.boolean().default(true).describe('Shuffle the order of the pairs in each epoch, by the seed'),
  quality: qualitySchema,
});
const datasetSchema = withRules(datasetFields, datasetRules);

const sftSchema = z.object({
  dataset: withRules(z.object(datasetSource), sourceRules)
    .optional()
    .describe("Rows with messages, or prompt and completion; by default the preference data's chosen answers"),
  ...sftFields,
});

const trainingFields = z.object({
  ...lossFields,
  ...optimizerFields,
  ...computeFields,
  lora: loraSchema,
  epochs: z.number().gt(0).max(1000).default(1).describe('How often the pairs are trained on'),
  maxSteps: z.int().min(1).max(1_000_000_000).optional().describe('Stop after this many steps; overrides epochs'),
  batchSize: z.int().min(1).max(65_536).default(8).describe('Pairs per optimizer step'),
  maxLength: z.int().min(2).max(1_048_576).default(1024).describe('Tokens of prompt and answer together'),
  truncation: z.enum(['keep_start']).default('keep_start').describe('Longer answers lose their end'),
  seed: z
    .int()
    .min(0)
    .max(4_294_967_295)
    .default(42)
    .describe('Decides the order of the pairs and all else that is random'),
});

const trainingSchema = withRules(trainingFields, [...lossRules, ...optimizerRules, ...adapterRules]);

const checkpointSchema = z
  .object({
    everySteps: z.int().min(1).max(1_000_000_000).default(100).describe('Optimizer steps between two checkpoints'),
    everySeconds: seconds(1).default(600).describe('A checkpoint is saved when either interval has passed'),
    keep: z.int().min(1).max(100).default(2).describe('Newest checkpoints kept'),
    gracePeriodSeconds: seconds(1).default(120).describe("The pod's grace period, in which it saves when stopped"),
    volume: workVolumeSchema
      .optional()
      .describe('The claim that is made for a job whose output is pushed; it goes with the DPOJob'),
  })
  .default({ everySteps: 100, everySeconds: 600, keep: 2, gracePeriodSeconds: 120 })
  .describe('When the run is saved, from where it goes on at the exact step');

/** A Kubernetes quantity: 2, "500m", "16Gi". */
const quantity = z.union([z.int(), z.string()]).meta({ 'x-kubernetes-int-or-string': true });
const quantities = z.record(z.string(), quantity);

const resourcesSchema = z
  .object({
    limits: quantities.optional().describe('The most that it gets; extended resources of any name'),
    requests: quantities.optional().describe('What a node must have free for it; by default the limits'),
  })
  .default({})
  .describe("The trainer's resources; the accelerator is added to the limits");

const specFields = z.object({
  model: modelSchema.describe('The model to be trained'),
  dataset: datasetSchema.describe('Pairs of a preferred and a rejected answer, and how they are checked and split'),
  sft: sftSchema.optional().describe('Supervised fine-tuning before the preference stage'),
  training: trainingSchema.prefault({}).describe('The preference stage'),
  evaluation: evaluationSchema.describe('Held-out figures during the run, and what follows from them'),
  checkpoint: checkpointSchema,
  output: outputSchema.describe('Where the trained model goes'),
  reference: referenceSchema.describe('The model that the policy is held near'),
  cache: cacheSchema,
  accelerator: acceleratorSchema.describe('What it trains on'),
  resources: resourcesSchema,
  pod: podSchema.prefault({}).describe("Kubernetes' own fields of the trainer's pod"),
  workers: z.int().min(1).max(1).default(1).describe('Pods that train together: one'),
  suspend: z.boolean().default(false).describe('Save and stop; set back to false to continue at the same step'),
  backoffLimit: z
    .int()
    .min(0)
    .max(1000)
    .default(3)
    .describe('Failures of an attempt after which the job is given up; a resume begins a new attempt'),
  activeDeadlineSeconds: seconds(1)
    .optional()
    .describe('Longest time active, over all attempts; time suspended or in a queue is not counted'),
  startDeadlineSeconds: seconds(1)
    .optional()
    .describe('Longest time from creation, resume or admission by a queue to a running trainer'),
  progressDeadlineSeconds: seconds(1).optional().describe('Longest time without progress while the trainer answers'),
  nodeLossSeconds: seconds(1)
    .optional()
    .describe(
      'How long a node may not answer until the next attempt begins without it; by default the pod is waited for until somebody declares its node gone',
    ),
  managedBy: withRules(z.string().max(63), [
    matching(
      /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$/,
      'must be a domain and a name: kueue.x-k8s.io/multikueue',
    ),
  ])
    .optional()
    .describe(
      'Controller that runs the job: one other than training.dpo-operator.io/dpo-operator is left to do it alone',
    ),
  ttlSecondsAfterFinished: seconds(0).optional().describe('The DPOJob is deleted so long after it finished'),
});

export const specSchema = withRules(specFields, [
  ...acceleratorRules,
  ...sftRules,
  ...evaluationRules,
  ...loraRules,
  ...referenceRules,
  ...outputRules,
]);
/** A DPOJob's spec with its defaults filled in. */
export type DPOJobSpec = z.output<typeof specSchema>;
/** A DPOJob's spec as a user writes it. */
export type DPOJobSpecInput = z.input<typeof specSchema>;

/** A DPOJob as the API server stores it. */
export interface DPOJob {
  apiVersion: typeof apiVersion;
  kind: typeof kind;
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    generation?: number;
    resourceVersion?: string;
    creationTimestamp?: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec: DPOJobSpec;
  status?: DPOJobStatus;
}
