import { sftCourse } from '../../crds/sft.ts';
import { stepBatch, stepsPerEpoch } from '../data/order.ts';
import { packBlocks } from '../data/packing.ts';
import type { Example, Pair } from '../data/pair.ts';
import type { Rows } from '../data/token-rows.ts';
import { eachExampleBatch, exampleTokens, splitExamples } from '../model/groups.ts';
import { learningRateAt } from '../optimizer/schedule.ts';
import type { StageContext } from './context.ts';
import { checkFinite, runSteps } from './steps.ts';

/** What the stage counts a step in, by index: examples, or with packing blocks that several examples fill. */
function unitsOf({ run }: Pick<StageContext, 'run'>, examples: Rows<Example>): Units {
  const { sft, training } = run.job.spec;
  if (!sft?.packing) return { length: examples.length, at: (item) => [item] };
  const blocks = packBlocks(examples.map(exampleTokens), sft.maxLength ?? training.maxLength);
  return { length: blocks.length, at: (item) => blocks[item] as number[] };
}
interface Units {
  length: number;
  at: (item: number) => readonly number[];
}

/** Optimizer steps of the SFT stage. */
export function sftSteps(context: Pick<StageContext, 'run'>, examples: Rows<Example>): number {
  const { sft } = context.run.job.spec;
  return sft === undefined
    ? 0
    : Math.ceil(sft.epochs * stepsPerEpoch(unitsOf(context, examples).length, sft.batchSize));
}

const answerTokens = (examples: readonly Example[]): number =>
  examples.reduce((sum, { completion }) => sum + completion.length, 0);

/** Cross-entropy of the held-out pairs' chosen answers, mean over their tokens; undefined when there are none. */
function heldOutLoss(context: StageContext, heldOut: Rows<Pair>, steps: number): number | undefined {
  const { learner, report, run } = context;
  if (heldOut.length === 0) return undefined;
  let [sum, tokens] = [0, 0];
  for (const part of eachExampleBatch(chosenOf(heldOut), run.job.spec.training.microBatchTokens)) {
    sum -= learner.exampleLogProb(part);
    tokens += answerTokens(part);
    report.beat({ stage: 'SFT', stageStep: steps });
  }
  return sum / tokens;
}

function* chosenOf(pairs: Iterable<Pair>): Generator<Example> {
  for (const { row, prompt, chosen } of pairs) yield { row, prompt, completion: chosen };
}

/** Adds the gradient of a step's examples; returns their loss, mean over the answers' tokens. */
function accumulate({ learner, report, run }: StageContext, batch: readonly Example[], step: number): number {
  const tokens = answerTokens(batch);
  let sum = 0;
  for (const part of splitExamples(batch, run.job.spec.training.microBatchTokens)) {
    sum += learner.accumulateSft(part, tokens);
    report.beat({ stage: 'SFT', stageStep: step });
  }
  return sum / tokens;
}

/** Supervised fine-tuning on the answers' tokens alone; schedule and warm-up are training's unless `sft` has its own. */
export function fineTune(
  context: StageContext,
  { examples, heldOut }: { examples: Rows<Example>; heldOut: Rows<Pair> },
  from: number,
): void {
  const { learner, report, run, fence } = context;
  const { tuning } = context.watch;
  const { training, dataset, sft, evaluation } = run.job.spec;
  if (sft === undefined) return;
  const units = unitsOf(context, examples);
  const total = sftSteps(context, examples);
  const plan = { count: units.length, batchSize: sft.batchSize, seed: training.seed, shuffle: dataset.shuffle };
  const course = { ...sftCourse(run.job.spec), learningRate: sft.learningRate };
  const evaluate = (steps: number): void => {
    const evalSftLoss = heldOutLoss(context, heldOut, steps);
    if (evalSftLoss === undefined) return;
    tuning.add('heldOut', steps, { evalSftLoss });
    report.beat({ stage: 'SFT', stageStep: steps, metrics: { evalSftLoss } });
  };
  let sftLoss = NaN;
  tuning.resumeAt(from === 0 ? -1 : from, () => fence.check());
  if (from === 0) evaluate(0);
  runSteps(context, {
    stage: 'SFT',
    from,
    total,
    figures: () => (Number.isNaN(sftLoss) ? {} : { sftLoss }),
    takeStep: (step) => {
      const items = [...stepBatch(step, plan).items].flatMap((item) => units.at(item));
      const batch = items.map((item) => examples.at(item) as Example);
      const started = performance.now();
      sftLoss = accumulate(context, batch, step);
      const learningRate = learningRateAt(step, total, course);
      const gradNorm = learner.update(step + 1, learningRate);
      checkFinite(
        { loss: sftLoss, gradNorm, step: step + 1 },
        batch.map(({ row }) => row),
      );
      const seconds = (performance.now() - started) / 1000;
      const trained = batch.reduce((all, example) => all + exampleTokens(example), 0);
      report.observe({ kind: 'step', stage: 'SFT', seconds, tokens: trained });
      const metrics = { sftLoss, gradNorm, learningRate, tokensPerSecond: trained / seconds };
      tuning.add('train', step + 1, metrics);
      return { stage: 'SFT', stageStep: step + 1, stageTotal: total, metrics };
    },
    afterStep: (steps) => {
      if (steps % evaluation.everySteps === 0 || steps === total) evaluate(steps);
    },
  });
}
