import { z } from 'zod';

/**
 * What the trainer says of itself: the body of GET /progress, and (inside TerminationMessage) the pod's termination
 * message. The operator trusts none of it: size-capped, parsed with these schemas, pod UID compared.
 */

/** Stages of a run in their order. Every stage beats: `heartbeat` grows while it makes progress. */
export const stages = [
  'Loading',
  'Data',
  'SFT',
  'Reference',
  'Training',
  'Evaluating',
  'Comparing',
  'Exporting',
  'Done',
] as const;

export type Stage = (typeof stages)[number];

const figure = z.number().optional();

/** Figures of the latest optimizer step (means over its pairs) and of the latest held-out evaluation. */
export const metricsSchema = z.object({
  loss: figure.describe('Training loss of the latest step, mean over its pairs'),
  beta: figure.describe('Beta in force'),
  rewardMargin: figure.describe(
    'Mean of chosen minus rejected reward: beta times the log-ratios; without a reference (simpo, cpo, orpo) beta times the log-probabilities, per token with simpo and orpo',
  ),
  rewardAccuracy: figure.describe('Share of pairs whose chosen answer has the higher reward'),
  rewardChosen: figure.describe('Mean reward of the chosen answers'),
  rewardRejected: figure.describe('Mean reward of the rejected answers'),
  logpsChosen: figure.describe("Mean of the chosen answers' summed log-probabilities"),
  logpsRejected: figure.describe("Mean of the rejected answers' summed log-probabilities"),
  gradNorm: figure.describe('L2 norm of the gradient before clipping'),
  learningRate: figure.describe('Learning rate of the latest step'),
  pairsPerSecond: figure.describe('Pairs trained per second over the latest step'),
  tokensPerSecond: figure.describe('Tokens trained per second over the latest step'),
  firstStepLoss: figure.describe('Loss of the first optimizer step of the preference stage'),
  zeroMarginLoss: figure.describe(
    'What firstStepLoss must be: its loss where policy and reference are equal; without a reference that loss itself',
  ),
  sftLoss: figure.describe('Loss of the latest step of the SFT stage, mean over its tokens'),
  evalSftLoss: figure.describe(
    "Held-out loss of the SFT stage, mean over the tokens of held-out pairs' chosen answers",
  ),
  evalLoss: figure.describe('Held-out loss'),
  evalRewardMargin: figure.describe('Held-out reward margin'),
  evalRewardAccuracy: figure.describe('Held-out reward accuracy'),
  evalRewardChosen: figure.describe('Held-out reward of the chosen answers'),
  evalRewardRejected: figure.describe('Held-out reward of the rejected answers'),
  evalLogpsChosen: figure.describe('Held-out log-probability of the chosen answers'),
  evalLogpsRejected: figure.describe('Held-out log-probability of the rejected answers'),
  evalKL: figure.describe('Mean over held-out completion positions of KL(policy || reference), at most 64 pairs'),
});
export type Metrics = z.infer<typeof metricsSchema>;

const count = z.int().min(0);

/** A reason names an Event or a label of a series: a word of letters and digits, as Kubernetes' own. */
const reason = z
  .string()
  .max(63)
  .regex(/^[A-Z][A-Za-z0-9]*$/);

/** Reasons that one map counts by: the CRD takes no more, and each is a series of its own. */
const maxReasons = 64;
const byReason = z
  .record(reason, count)
  .refine((counts) => Object.keys(counts).length <= maxReasons, { error: `more than ${maxReasons} reasons` })
  .meta({ maxProperties: maxReasons });

/** RFC 3339 as Kubernetes has it: with seconds, which zod lets one leave out. */
const time = z.iso.datetime().refine((one) => /T\d\d:\d\d:\d\d/.test(one), { error: 'a time without seconds' });
const measure = z.number().optional();

/** Measures of a data set as a whole; dataset.quality.thresholds has a field of the same name for each. */
export const dataMeasuresSchema = z.object({
  lengthBias: measure.describe('Accuracy of the rule "the longer answer is chosen"; below 0.5, shorter ones are'),
  promptDiversity: measure.describe('Distinct prompts per row'),
  ngramDiversity: measure.describe('Share of distinct word triples in distinct prompts'),
  labelNoise: measure.describe("Share of wrong preferences, estimated from the reference's margins"),
});
export type DataMeasures = z.infer<typeof dataMeasuresSchema>;

/** What the run trains on, and what the checks of dataset.quality found in it. */
export const dataCountsSchema = z.object({
  pairs: count.describe('Pairs trained on'),
  heldOut: count.describe('Pairs held out for evaluation'),
  dropped: byReason.optional().describe('Rows left out, by reason; SFT before the reason: fine-tuning rows'),
  findings: byReason.optional().describe('Rows that a check found, left out or not, by reason'),
  measures: dataMeasuresSchema.optional().describe('Measures of the data set as a whole'),
});
export type DataCounts = z.infer<typeof dataCountsSchema>;

/** Warnings that one record carries; each is short enough that all of them fit in `maxProgressBytes`. */
export const maxWarnings = 16;
export const maxWarningLength = 512;

/** Something a user should look at: the reason is the Event's. */
export const warningSchema = z.object({
  reason: reason.describe('What was found, in one word'),
  message: z.string().max(maxWarningLength).describe('What was found, with figures'),
});
/** Figures that may tell the best step, with the direction in which they improve. */
export const bestMetrics = ['evalLoss', 'evalRewardAccuracy', 'evalRewardMargin'] as const;
export type BestMetric = (typeof bestMetrics)[number];

export const bestSchema = z
  .object({
    step: count.describe('Step with the best held-out figure'),
    metric: z.enum(bestMetrics).describe('evaluation.metricForBest'),
    value: z.number().describe('Its value at that step'),
    exported: z.boolean().describe("Whether these weights, not the last step's, are exported"),
  })
  .describe('The best held-out evaluation; its weights stay beside the checkpoints');
export type Best = z.infer<typeof bestSchema>;

export const stoppedEarlySchema = z
  .object({
    step: count.describe('Last step that was trained'),
    message: z.string().max(1024).describe('Which figure did not improve'),
  })
  .describe('Where and why evaluation.earlyStopping ended the preference stage');

/** What both models answered to the same prompts, in short; the report has the answers. */
export const comparisonSchema = z
  .object({
    prompts: count.describe('Prompts that both models answered'),
    differing: count.describe('Prompts to which the answers differ'),
    preferred: count.describe("Of these, how often the implicit reward prefers the trained model's answer"),
    tokens: z.number().describe("Mean length of the trained model's answers"),
    referenceTokens: z.number().describe("Mean length of the reference's answers"),
    repetition: z.number().describe("Share of 4-grams that repeat earlier ones in the trained model's answers"),
    referenceRepetition: z.number().describe("The same in the reference's answers"),
    kl: z.number().describe("KL(policy || reference) per token, sampled on the trained model's answers"),
  })
  .describe('The trained model beside the reference');
export type Comparison = z.infer<typeof comparisonSchema>;

export const progressSchema = z.object({
  podUID: z.string().max(64),
  attempt: count,
  heartbeat: count.describe('Grows with every unit of work in every stage'),
  time,
  stage: z.enum(stages),
  step: count.describe('Optimizer steps done in the preference stage'),
  totalSteps: count,
  stageStep: count.describe('Units of work done in the present stage'),
  stageTotal: count.describe('Units of work of the present stage; 0 while unknown'),
  epoch: z.number().min(0),
  percent: z.number().min(0).max(100),
  etaSeconds: z.number().min(0).optional(),
  metrics: metricsSchema,
  data: dataCountsSchema.optional(),
  checkpoint: z.object({ step: count, time }).optional(),
  output: z.object({ source: z.string().max(1024), digest: z.string().max(128) }).optional(),
  best: bestSchema.optional(),
  stoppedEarly: stoppedEarlySchema.optional(),
  comparison: comparisonSchema.optional(),
  report: z.string().max(1024).optional(),
  memoryBytes: count.optional().describe('Most memory that the trainer has had resident'),
  warnings: z.array(warningSchema).max(maxWarnings).default([]),
});
export type Progress = z.infer<typeof progressSchema>;

/** Largest body of /progress and largest termination message that the operator reads, in bytes. */
export const maxProgressBytes = 16_384;
export const maxTerminationBytes = 4096;

/** What the trainer leaves in /dev/termination-log (rewritten with each record, last with the reason it ended). */
export const terminationMessageSchema = z.object({
  reason: reason.describe('A name of crds/exit-codes.ts, or "Running" while it runs'),
  message: z.string().max(1024),
  progress: progressSchema.optional(),
});
export type TerminationMessage = z.infer<typeof terminationMessageSchema>;
