import { z } from 'zod';
import { bestMetrics } from './progress.ts';
import type { Rule } from './rules.ts';

/** What is done with the pairs that are held out. Names are those of transformers' TrainingArguments and EarlyStoppingCallback. */
const earlyStoppingSchema = z.object({
  patience: z.int().min(1).max(1_000_000).default(3).describe('Evaluations in a row without a better figure'),
  minDelta: z.number().min(0).max(1e6).default(0).describe('A figure is better when it gains more than this'),
});

/** Short, long, in other scripts, and of one word again and again: where a model that was tuned too far shows it. */
export const defaultPrompts = [
  '?',
  `Summarise this in one sentence: ${Array(8).fill('The quick brown fox jumps over the lazy dog near the river bank.').join(' ')}`,
  'Wie spät ist es? 今何時ですか？ Который час?',
  Array(32).fill('again').join(' '),
];

const compareSchema = z
  .object({
    fromHeldOut: z.int().min(0).max(64).default(4).describe('So many of the first held-out prompts'),
    prompts: z
      .array(z.string().min(1).max(8192))
      .max(64)
      .default(defaultPrompts)
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .describe('Texts, put through the chat template where the model has one; by default a few edge cases'),
    maxNewTokens: z.int().min(1).max(4096).default(128).describe('Longest answer, in tokens'),
  })
  .prefault({})
  .describe('Prompts that the trained model and the reference both answer in the end; none with both lists empty');

export const evaluationSchema = z
  .object({
    everySteps: z.int().min(1).max(1_000_000_000).default(100).describe('Held-out evaluation by this interval'),
    metricForBest: z
      .enum(bestMetrics)
      .default('evalLoss')
      .describe('Held-out figure that tells the best step; its weights are kept besides checkpoint.keep'),
    loadBestModelAtEnd: z
      .boolean()
      .optional()
      .describe("Export the best step's weights, not the last one's; default: true with earlyStopping, else false"),
    earlyStopping: earlyStoppingSchema
      .optional()
      .describe('Ends the preference stage when metricForBest has not improved for so long, then exports'),
    compare: compareSchema,
  })
  .prefault({});

type Evaluation = z.output<typeof evaluationSchema>;

const needsHeldOut =
  'has(self.evaluation.earlyStopping) || (has(self.evaluation.loadBestModelAtEnd) && self.evaluation.loadBestModelAtEnd)';

/** Rules between `evaluation` and the rest of the spec. */
export const evaluationRules: readonly Rule<{
  evaluation: Evaluation;
  dataset: { holdout: number; evalSource?: string | undefined };
}>[] = [
  {
    cel: `!(${needsHeldOut}) || self.dataset.holdout > 0.0 || has(self.dataset.evalSource)`,
    holds: ({ evaluation: { earlyStopping, loadBestModelAtEnd }, dataset }) =>
      !(earlyStopping !== undefined || loadBestModelAtEnd === true) ||
      dataset.holdout > 0 ||
      dataset.evalSource !== undefined,
    field: 'evaluation',
    message:
      'evaluation.earlyStopping and evaluation.loadBestModelAtEnd need held-out pairs: set dataset.holdout or dataset.evalSource',
  },
];
