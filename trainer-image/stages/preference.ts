import type { Metrics } from '../../crds/progress.ts';
import type { Pair } from '../data/pair.ts';
import type { Rows } from '../data/token-rows.ts';
import { stepBatch, stepsPerEpoch } from '../data/order.ts';
import { summarise } from '../evaluate.ts';
import { lossAtZeroMargin, type PairOutcome } from '../loss/objective.ts';
import { pairTokens } from '../model/groups.ts';
import { learningRateAt } from '../optimizer/schedule.ts';
import { bounds } from '../metrics/signals.ts';
import { accumulateBatch, type PreferenceBatch } from './accumulate.ts';
import type { StageContext } from './context.ts';
import type { Evaluation } from './evaluation.ts';
import type { Reference } from './reference.ts';
import { checkFinite, runSteps } from './steps.ts';

/** Optimizer steps of the preference stage. */
export function preferenceSteps({ run }: Pick<StageContext, 'run'>, pairs: number): number {
  const { maxSteps, epochs, batchSize } = run.job.spec.training;
  return maxSteps ?? Math.ceil(epochs * stepsPerEpoch(pairs, batchSize));
}

export interface PreferenceData {
  pairs: Rows<Pair>;
  /** Undefined where no loss needs it. */
  reference: Reference | undefined;
  evaluation: Evaluation;
}

/** The first step's loss must be the loss at zero margin: policy and reference are still equal. */
function checkFirstStep(context: StageContext, loss: number, expected: number): void {
  if (Math.abs(loss - expected) <= bounds.firstStepLoss * Math.max(1, Math.abs(expected))) return;
  const message = `the first step's loss is ${loss}, not ${expected}: policy and reference differ before training`;
  context.report.warn('FirstStepLoss', message);
}

/**
 * The first step's loss, and what it must be where the policy begins as the reference. With another model it may be any, and
 * with dropout on adapters that SFT has trained: the reference was computed without.
 */
function firstFigures(context: StageContext, loss: number, outcomes: readonly PairOutcome[]): Record<string, number> {
  const { training, reference, sft } = context.run.job.spec;
  const drops = sft !== undefined && (training.lora?.dropout ?? 0) > 0;
  if (reference.source !== undefined || drops) return { firstStepLoss: loss };
  const zeroMarginLoss = lossAtZeroMargin(training, outcomes);
  checkFirstStep(context, loss, zeroMarginLoss);
  return { firstStepLoss: loss, zeroMarginLoss };
}

function batchOf({ pairs, reference }: PreferenceData, items: readonly number[], beat: () => void): PreferenceBatch {
  const chosen = items.map((item) => pairs.at(item) as Pair);
  return { pairs: chosen, reference: reference?.ofTraining(chosen, items, beat) };
}

/**
 * Direct preference optimization: all steps from `from` on, with held-out evaluation by its interval, up to the last or
 * until the evaluation ends it. `figures` are kept up to date.
 */
export function optimisePreference(
  context: StageContext,
  data: PreferenceData,
  { step: from, figures }: { step: number; figures: Record<string, number> },
): void {
  const { learner, report, run } = context;
  const { training, dataset, evaluation } = run.job.spec;
  const total = preferenceSteps(context, data.pairs.length);
  const plan = {
    count: data.pairs.length,
    batchSize: training.batchSize,
    seed: training.seed,
    shuffle: dataset.shuffle,
  };
  const evaluationDue = (steps: number): boolean => steps % evaluation.everySteps === 0 && steps > 0 && steps < total;
  // Stopped after a step and before its evaluation: a resumed run catches up, so that it decides the same.
  if (evaluationDue(from)) data.evaluation.at(from);
  runSteps(context, {
    stage: 'Training',
    from,
    total,
    figures: () => figures,
    tensors: () => data.reference?.live?.state() ?? [],
    takeStep: (step) => {
      const { items } = stepBatch(step, plan);
      const started = performance.now();
      const position = { stage: 'Training', step, totalSteps: total, stageStep: step, stageTotal: total } as const;
      const batch = batchOf(data, [...items], () => report.beat(position));
      const outcomes = accumulateBatch(learner, batch, () => report.beat(position));
      const learningRate = learningRateAt(step, total, training);
      const gradNorm = learner.update(step + 1, learningRate);
      const metrics: Metrics = { ...summarise(outcomes), beta: training.beta, gradNorm, learningRate };
      checkFinite(
        { loss: metrics.loss as number, gradNorm, step: step + 1 },
        batch.pairs.map(({ row }) => row),
      );
      data.reference?.live?.stepTaken(step + 1);
      if (step === 0) Object.assign(figures, firstFigures(context, metrics.loss as number, outcomes));
      const seconds = (performance.now() - started) / 1000;
      metrics.pairsPerSecond = batch.pairs.length / seconds;
      const tokens = batch.pairs.reduce((sum, pair) => sum + pairTokens(pair), 0);
      metrics.tokensPerSecond = tokens / seconds;
      report.observe({ kind: 'step', stage: 'Training', seconds, pairs: batch.pairs.length, tokens });
      const epoch = (step + 1) / stepsPerEpoch(plan.count, plan.batchSize);
      metrics.firstStepLoss = figures['firstStepLoss'];
      metrics.zeroMarginLoss = figures['zeroMarginLoss'];
      context.watch.see('train', step + 1, metrics);
      const steps = { step: step + 1, totalSteps: total, stageStep: step + 1, stageTotal: total };
      return { stage: 'Training', ...steps, epoch, metrics };
    },
    afterStep: (steps) => {
      if (evaluationDue(steps)) data.evaluation.at(steps);
    },
    ended: () => data.evaluation.stoppedAt !== undefined,
  });
}
