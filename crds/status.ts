import { z } from 'zod';
import {
  bestSchema,
  comparisonSchema,
  dataCountsSchema,
  maxWarnings,
  metricsSchema,
  stages,
  stoppedEarlySchema,
  warningSchema,
} from './progress.ts';

/** One word for people; derived, never read back. */
export const states = [
  'Pending',
  'Queued',
  'Starting',
  'Running',
  'Suspending',
  'Suspended',
  'Restarting',
  'NodeLost',
  'Complete',
  'Failed',
] as const;

/** Pods made in one second whose ends are told apart. */
export const maxTied = 16;

const text = z.string().max(1024);
const time = z.iso.datetime();
const count = z.int().min(0);

const conditionSchema = z.object({
  type: z.string().max(316),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: count.optional(),
  lastTransitionTime: time,
  reason: z.string().max(1024),
  message: z.string().max(32_768),
});
export type Condition = z.infer<typeof conditionSchema>;

/** What the operator says of a DPOJob: its state, how far the run is, its latest figures, and what is amiss. */
export const statusSchema = z.object({
  conditions: z
    .array(conditionSchema)
    .max(16)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional(),
  observedGeneration: count.optional().describe('Generation of the spec that this status is of'),
  state: z.enum(states).optional().describe('One word for people'),
  reason: z.string().max(63).optional().describe('What is amiss, in one word; absent where nothing is'),
  message: text.optional().describe('What is amiss, in words, and what to do about it'),
  attempt: count.optional().describe('Number of the present child Job'),
  lostAttempt: count.optional().describe('Attempt that was given up since its node was lost'),
  startTime: time.optional().describe('When the job was first seen'),
  completionTime: time.optional().describe('When it was Complete or Failed'),
  restarts: count.optional().describe('Pods that ended without finishing the job'),
  countedUntil: z
    .object({
      podCreationTime: time.describe('When it was made, by the clock of the API server'),
      podUIDs: z.array(z.string().max(64)).max(maxTied).describe('Its UID, and of others made in the same second'),
    })
    .optional()
    .describe('The pod made last of those whose end is counted: later ones are still to be counted'),
  restartsWithoutProgress: count.optional().describe('Free restarts in a row without a newer checkpoint'),
  activeSeconds: count.optional().describe('Seconds active in earlier attempts'),
  attemptStartTime: time.optional().describe('Since when the present attempt may run'),
  trainerStartTime: time.optional().describe('Since when a trainer of the present attempt has run'),
  trainerSeconds: count.optional().describe('Seconds that trainers had in earlier attempts'),
  image: z.string().max(1024).optional().describe('Trainer image of the present attempt'),
  defaultImage: z
    .string()
    .max(1024)
    .optional()
    .describe(
      "The operator's trainer image when the job began: later attempts keep it, unless pod.image names another",
    ),
  progress: z
    .object({
      stage: z.enum(stages).describe('What the trainer is doing'),
      step: count.describe('Optimizer steps done in the preference stage'),
      totalSteps: count.describe('Optimizer steps of the preference stage'),
      epoch: z.number().describe('Epochs done in the preference stage'),
      percent: z.number().describe('Share of the whole run that is done'),
      etaSeconds: z.number().optional().describe('Seconds left, estimated from the pace so far'),
      updateTime: time.describe('When the trainer said so'),
    })
    .optional()
    .describe('How far the run is'),
  metrics: metricsSchema.optional().describe('Latest figures, to six digits'),
  data: dataCountsSchema.optional().describe('What it trains on, and what the checks found'),
  checkpoint: z
    .object({ step: count.describe('Step that it holds'), time: time.describe('When it was saved') })
    .optional()
    .describe('Newest checkpoint'),
  best: bestSchema.optional(),
  stoppedEarly: stoppedEarlySchema.optional(),
  comparison: comparisonSchema.optional(),
  report: text.optional().describe('Where the report of the run is: a self-contained HTML file'),
  output: z
    .object({ source: text.describe('Where it is'), digest: z.string().max(128).describe('sha256: of its weights') })
    .optional()
    .describe('The trained model'),
  warnings: z
    .array(warningSchema)
    .max(maxWarnings)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['reason'] })
    .optional()
    .describe('What the trainer warned of, once per reason; each was an Event'),
  lastFailure: z
    .object({
      reason: z.string().max(63).describe('The cause in one word'),
      exitCode: z.int().optional().describe("Of the trainer's container; absent where none ran"),
      container: z.string().max(63).optional().describe('The container that ended'),
      pod: z.string().max(253).optional().describe('The pod that ended, or that could not run'),
      message: text.optional().describe('The cause in words, and what to do about it'),
      time: time.optional().describe('When it ended, or was given up'),
    })
    .optional()
    .describe('How the last pod ended that did not finish the job, or what else the job failed for'),
});
export type DPOJobStatus = z.infer<typeof statusSchema>;
