import { readFileSync } from 'node:fs';
import type { Pair } from '../../trainer-image/data/pair.ts';
import { sumTokens, type PairLogProbs } from '../../trainer-image/loss/scores.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { goldenFolder, goldenPairs, relativeDistance, trainingOf } from '../trainer-image/golden.ts';
import { mean, type Compared, type Parts } from './compared.ts';
import { normOf, stepOf } from './losses.ts';
import { follow, type TrlRun } from './traces.ts';

/** TRL's DPOTrainer under torch.autocast to bfloat16: made by test/python/bf16.py. */
export const autocast = JSON.parse(readFileSync(`${goldenFolder}/bf16.json`, 'utf8')) as {
  models: Record<
    'tiny' | 'tiny-gpt2',
    {
      loss32: number;
      loss: number;
      gradNorm: number;
      metrics: Record<string, number>;
      /** Of each weight's gradient from that in float32, relative. */
      distance: Record<string, number>;
    }
  >;
  run: TrlRun;
};

const training = (precision: 'bf16' | 'fp32') => trainingOf({ precision });

function stepIn(precision: 'bf16' | 'fp32', model: string) {
  const learner = (name: string): Learner => new Learner(`${goldenFolder}/${name}`, training(precision));
  const reference: PairLogProbs[] = learner(model)
    .tokenLogProbs(goldenPairs)
    .map((each) => sumTokens(each));
  return stepOf(learner(`${model}-policy`), goldenPairs, reference);
}

/** Two roundings to bfloat16, each within 2^-9, of a number of this size. */
const rounding = 2 ** -8;

/** The fixed batch in bfloat16 beside autocast's, and the gradient's distance from float32's beside autocast's. */
export function bf16Batch(model: 'tiny' | 'tiny-gpt2'): Parts {
  const { loss, gradNorm, metrics, distance } = autocast.models[model];
  const [whole, rounded] = [stepIn('fp32', model), stepIn('bf16', model)];
  const exact = new Map(whole.gradients.map(({ name, data }) => [name, data]));
  const logProbs = (what: 'logps/chosen' | 'logps/rejected', own: number | undefined): Compared => {
    const theirs = metrics[what] as number;
    return { what, own: own as number, theirs, tolerance: Math.abs(theirs) * 1e-3 };
  };
  return {
    loss: [{ what: 'loss', own: rounded.figures.loss as number, theirs: loss, tolerance: rounding }],
    'gradient norm': [
      { what: 'norm', own: normOf(rounded.gradients), theirs: gradNorm, tolerance: 2 * rounding * gradNorm },
    ],
    'log-probabilities': [
      logProbs('logps/chosen', rounded.figures.logpsChosen),
      logProbs('logps/rejected', rounded.figures.logpsRejected),
    ],
    // Not farther from float32 than half as much again as autocast is.
    'distance of gradients from float32': rounded.gradients.map(({ name, data }) => {
      const own = relativeDistance(data, exact.get(name) as Float32Array);
      return { what: name, own, theirs: 0, tolerance: 1.5 * (distance[name] as number) };
    }),
  };
}

/** Figures of TRL's run in bfloat16 that differ by less than what they differ by in a step. */
const followed = ['loss', 'rewards/chosen', 'rewards/rejected', 'rewards/margins', 'grad_norm'];

/** TRL's run of 20 steps in bfloat16 beside ours: each figure's mean over the last ten steps within a twentieth. */
export function bf16Trace(pairs: readonly Pair[]): Parts {
  const own = follow({ ...autocast.run, precision: 'bf16' }, { reference: 'tiny', pairs, microBatchTokens: 1024 });
  const last = (logs: readonly Record<string, number>[], name: string): number =>
    mean(logs.slice(-10).map((log) => log[name] as number));
  const compared = followed.map((name): [string, Compared[]] => {
    const theirs = last(autocast.run.logs, name);
    return [name, [{ what: name, own: last(own, name), theirs, tolerance: 0.05 * Math.abs(theirs) }]];
  });
  return Object.fromEntries(compared);
}
