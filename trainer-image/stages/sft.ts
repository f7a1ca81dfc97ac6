import type { Example } from '../data/pair.ts';
import { stepBatch, stepsPerEpoch } from '../data/order.ts';
import { exampleTokens, splitExamples } from '../model/groups.ts';
import { learningRateAt } from '../optimizer/schedule.ts';
import type { StageContext } from './context.ts';
import { checkFinite, runSteps } from './steps.ts';

/** Optimizer steps of the SFT stage. */
export function sftSteps(context: StageContext, examples: number): number {
  const { sft } = context.run.job.spec;
  return sft === undefined ? 0 : Math.ceil(sft.epochs * stepsPerEpoch(examples, sft.batchSize));
}

/** Supervised fine-tuning on the answers' tokens, mean over the tokens of a step; schedule as in `training`. */
export function fineTune(context: StageContext, examples: readonly Example[], from: number): void {
  const { learner, report, run } = context;
  const { training, dataset, sft } = run.job.spec;
  if (sft === undefined) return;
  const total = sftSteps(context, examples.length);
  const plan = { count: examples.length, batchSize: sft.batchSize, seed: training.seed, shuffle: dataset.shuffle };
  let sftLoss = NaN;
  runSteps(context, {
    stage: 'SFT',
    from,
    total,
    figures: () => (Number.isNaN(sftLoss) ? {} : { sftLoss }),
    takeStep: (step) => {
      const batch = [...stepBatch(step, plan).items].map((item) => examples[item] as Example);
      const tokens = batch.reduce((sum, { completion }) => sum + completion.length, 0);
      const started = performance.now();
      let sum = 0;
      for (const part of splitExamples(batch, training.microBatchTokens)) {
        sum += learner.accumulateSft(part, tokens);
        report.beat({ stage: 'SFT', stageStep: step, stageTotal: total });
      }
      const learningRate = learningRateAt(step, total, { ...training, learningRate: sft.learningRate });
      const gradNorm = learner.update(step + 1, learningRate);
      sftLoss = sum / tokens;
      checkFinite(
        { loss: sftLoss, gradNorm, step: step + 1 },
        batch.map(({ row }) => row),
      );
      const seconds = (performance.now() - started) / 1000;
      const trained = batch.reduce((all, example) => all + exampleTokens(example), 0);
      report.observe({ kind: 'step', stage: 'SFT', seconds, tokens: trained });
      const metrics = { sftLoss, gradNorm, learningRate, tokensPerSecond: trained / seconds };
      return { stage: 'SFT', stageStep: step + 1, stageTotal: total, metrics };
    },
  });
}
