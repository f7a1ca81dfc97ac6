import type { Metrics } from '../../crds/progress.ts';
import type { Pair } from '../data/pair.ts';
import { stepBatch, stepsPerEpoch } from '../data/order.ts';
import { summarise } from '../evaluate.ts';
import { lossAtZeroMargin, pairOutcomes, type PairOutcome } from '../loss/objective.ts';
import type { PairScores } from '../loss/scores.ts';
import { pairTokens, splitPairs } from '../model/groups.ts';
import { learningRateAt } from '../optimizer/schedule.ts';
import type { LossOf } from '../model/learner.ts';
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
  pairs: readonly Pair[];
  /** In the order of `pairs`. */
  reference: Reference;
  evaluation: Evaluation;
}

/** The first step's loss must be the loss at zero margin: policy and reference are still equal. */
function checkFirstStep(context: StageContext, loss: number, scores: readonly PairScores[]): void {
  const expected = lossAtZeroMargin(context.run.job.spec.training, scores);
  if (Math.abs(loss - expected) <= 1e-3) return;
  const message = `the first step's loss is ${loss}, not ${expected}: policy and reference differ before training`;
  context.report.warn('FirstStepLoss', message);
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
    takeStep: (step) => {
      const { items } = stepBatch(step, plan);
      const started = performance.now();
      const outcomes = accumulate(context, data, [...items], { step, total });
      const learningRate = learningRateAt(step, total, training);
      const gradNorm = learner.update(step + 1, learningRate);
      const metrics: Metrics = { ...summarise(outcomes), beta: training.beta, gradNorm, learningRate };
      const batch = [...items].map((item) => data.pairs[item] as Pair);
      checkFinite(
        { loss: metrics.loss as number, gradNorm, step: step + 1 },
        batch.map(({ row }) => row),
      );
      if (step === 0) {
        figures['firstStepLoss'] = metrics.loss as number;
        checkFirstStep(context, metrics.loss as number, outcomes);
      }
      const seconds = (performance.now() - started) / 1000;
      metrics.pairsPerSecond = batch.length / seconds;
      const tokens = batch.reduce((sum, pair) => sum + pairTokens(pair), 0);
      metrics.tokensPerSecond = tokens / seconds;
      report.observe({ kind: 'step', stage: 'Training', seconds, pairs: batch.length, tokens });
      const epoch = (step + 1) / stepsPerEpoch(plan.count, plan.batchSize);
      metrics.firstStepLoss = figures['firstStepLoss'];
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

function accumulate(
  { learner, report, run }: StageContext,
  data: PreferenceData,
  items: readonly number[],
  at: { step: number; total: number },
): PairOutcome[] {
  const batch = items.map((item) => data.pairs[item] as Pair);
  const outcomes: PairOutcome[] = [];
  for (const part of splitPairs(batch, run.job.spec.training.microBatchTokens)) {
    const reference = items
      .slice(outcomes.length, outcomes.length + part.length)
      .map((item) => data.reference[item] as Reference[number]);
    const lossOf: LossOf = (scores, from) =>
      pairOutcomes(run.job.spec.training, { scores, reference: reference.slice(from), totalPairs: batch.length });
    outcomes.push(...learner.accumulatePreference(part, lossOf));
    report.beat({ stage: 'Training', step: at.step, totalSteps: at.total, stageStep: at.step, stageTotal: at.total });
  }
  return outcomes;
}
