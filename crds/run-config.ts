import { z } from 'zod';
import { specSchema } from './dpojob.ts';

/**
 * job.json: what the operator hands the trainer, through an immutable ConfigMap mounted at `runConfigPath`.
 * The specification travels whole; the trainer applies no defaults of its own.
 */
export const runConfigSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  uid: z.string().describe("The DPOJob's UID: names the checkpoint folder and survives restarts and resumes"),
  created: z
    .string()
    .optional()
    .describe('When the DPOJob was made, RFC 3339: of two jobs of one name the later has the output'),
  attempt: z.int().min(0),
  spec: specSchema,
});
export type RunConfig = z.infer<typeof runConfigSchema>;

/** Where things are in the trainer's container; the operator's builders and the trainer's defaults read them here. */
export const runConfigPath = '/etc/dpo/job.json';
/** Where a data set that a ConfigMap holds is mounted, by the stage that reads it. */
export const configMapFolders = { dataset: '/etc/dpo/dataset', 'sft-dataset': '/etc/dpo/sft-dataset' } as const;
/** `pvc://claim/path` is `<volumesPath>/claim/path` in the pod. */
export const volumesPath = '/volumes';
/** Scratch space: the root file system is read-only. */
export const scratchPath = '/tmp';
/** Port of /metrics, /progress and /healthz in the trainer's pod, and its name. */
export const trainerPort = 8080;
export const trainerPortName = 'metrics';
/** Environment variables that the operator sets on the trainer's container. */
export const environment = {
  /** From the downward API. */
  podUID: 'POD_UID',
  podName: 'POD_NAME',
  /** Present and "true" only in tests that fake an accelerator: run on CPU although one was asked for. */
  accelerator: 'DPO_ACCELERATOR_OVERRIDE',
} as const;

/**
 * What the keys of a source's Secret begin with in the trainer's environment. Each Secret has its own, so that credentials
 * reach only the server they were made for; a variable of pod.env has no prefix and holds for every source.
 */
export const secretPrefixes = {
  model: 'MODEL_',
  adapter: 'ADAPTER_',
  reference: 'REFERENCE_',
  dataset: 'DATASET_',
  sft: 'SFT_',
  output: 'OUTPUT_',
} as const;
export type SecretPrefix = (typeof secretPrefixes)[keyof typeof secretPrefixes];

/** Fetched models and data, shared by the jobs that write to a claim: the folder under its root. */
export const cacheFolder = '.dpo/cache';

/** The claim that a job has of its own where its output is pushed: checkpoints, what is fetched, and the exported model. */
export const workClaim = (name: string): string => `${name}-work`;
/** The exported model in it. */
export const workOutput = 'output';

/** The folder for checkpoints of a job under a claim's root, relative to it. */
export function checkpointFolder(uid: string): string {
  return `.dpo/${uid}`;
}
