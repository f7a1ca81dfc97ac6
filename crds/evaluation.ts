import { z } from 'zod';
import { bestMetrics } from './progress.ts';
import type { Rule } from './rules.ts';

/** What is done with the pairs that are held out. Names are those of transformers' TrainingArguments and EarlyStoppingCallback. */
const earlyStoppingSchema = z.object({
  patience: z.int().min(1).max(1_000_000).default(3).describe('Evaluations in a row without a better figure'),
  minDelta: z.number().min(0).max(1e6).default(0).describe('A figure is better when it gains more than this'),
});

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
