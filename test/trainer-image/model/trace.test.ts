import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { loadPairs } from '../../../trainer-image/data/load.ts';
import type { Pair } from '../../../trainer-image/data/pair.ts';
import { loadTokenizer } from '../../../trainer-image/data/tokenizer.ts';
import type { PairOutcome } from '../../../trainer-image/loss/objective.ts';
import { splitPairs } from '../../../trainer-image/model/groups.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { learningRateAt } from '../../../trainer-image/optimizer/schedule.ts';
import { accumulate, goldenFolder, logProbs, trainingOf } from '../golden.ts';

type Log = Record<string, number>;
interface Run {
  init: string;
  args: { learning_rate: number; beta: number; weight_decay: number; max_grad_norm: number };
  logs: Log[];
}
const runs = JSON.parse(readFileSync(`${goldenFolder}/trace.json`, 'utf8')) as Record<string, Run>;

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: number[]): number => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));

const figures: Record<string, (outcome: PairOutcome) => number> = {
  loss: ({ loss }) => loss,
  'rewards/chosen': ({ rewards }) => rewards.chosen,
  'rewards/rejected': ({ rewards }) => rewards.rejected,
  'rewards/margins': ({ rewards }) => rewards.chosen - rewards.rejected,
  'logps/chosen': ({ logProbs }) => logProbs.chosen,
  'logps/rejected': ({ logProbs }) => logProbs.rejected,
};

function trainAsTrl(run: Run, pairs: readonly Pair[]): Log[] {
  const { learning_rate: peak, beta, weight_decay: weightDecay, max_grad_norm: maxGradNorm } = run.args;
  const training = trainingOf({ beta, weightDecay, maxGradNorm });
  const reference = new Learner(`${goldenFolder}/tiny`, training);
  const policy = new Learner(`${goldenFolder}/${run.init}`, training);
  policy.startStage();
  return run.logs.map((_, step) => {
    const batch = pairs.slice(4 * step, 4 * step + 4);
    const outcomes = splitPairs(batch, 200).flatMap((part) =>
      accumulate(policy, part, logProbs(reference, part), batch),
    );
    const learningRate = learningRateAt(step, 20, { schedule: 'linear', learningRate: peak, warmup: 0.1 });
    const log: Log = { learning_rate: learningRate, grad_norm: policy.update(step + 1, learningRate) };
    for (const [name, figure] of Object.entries(figures)) log[name] = mean(outcomes.map(figure));
    log['accuracy'] = mean(outcomes.map(({ rewards }) => Number(rewards.chosen > rewards.rejected)));
    return log;
  });
}

describe("TRL's own training runs of 20 steps are followed", () => {
  test.each(Object.entries(runs))('%s', async (_, run) => {
    const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`);
    const columns = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };
    const { train } = await loadPairs(`${goldenFolder}/train-80.jsonl`, tokenizer, {
      columns,
      maxLength: 512,
      holdout: 0,
    });
    const own = trainAsTrl(run, [...train]);
    for (const name of [...Object.keys(figures), 'grad_norm', 'learning_rate']) {
      const spread = deviation(run.logs.map((log) => log[name] as number));
      own.forEach((log, i) => {
        const expected = run.logs[i]?.[name] as number;
        const tolerance = 0.01 * Math.max(Math.abs(expected), spread) + 1e-12;
        const off = Math.abs((log[name] as number) - expected);
        if (!(off <= tolerance)) throw new Error(`${name} of step ${i + 1} is ${log[name]}, TRL's ${expected}`);
      });
    }
    // A margin near zero counts as either: one pair of four may differ.
    own.slice(1).forEach((log, i) => {
      expect(
        Math.abs((log['accuracy'] as number) - (run.logs[i + 1]?.['rewards/accuracies'] as number)),
      ).toBeLessThanOrEqual(0.25);
    });
  });
});
