import { beforeAll, describe, expect, test } from '@jest/globals';
import { lossTypes, needsReference, type LossType } from '../../../crds/losses.ts';
import type { Pair } from '../../../trainer-image/data/pair.ts';
import { summarise } from '../../../trainer-image/evaluate.ts';
import { sumTokens, type PairLogProbs, type PairTokens } from '../../../trainer-image/loss/scores.ts';
import { Learner, type Training } from '../../../trainer-image/model/learner.ts';
import { accumulateBatch } from '../../../trainer-image/stages/accumulate.ts';
import { goldenFolder, goldenPairs, relativeDistance, trainingOf } from '../golden.ts';
import { ofTheModel, trainingAs } from './trl.ts';

let tokens: PairTokens[];
beforeAll(() => {
  tokens = new Learner(`${goldenFolder}/tiny`, trainingOf()).tokenLogProbs(goldenPairs);
});

const policyWith = (training: Training): Learner => new Learner(`${goldenFolder}/tiny-policy`, training);
const referenceOf = ({ ldAlpha }: Training): PairLogProbs[] => tokens.map((each) => sumTokens(each, { ldAlpha }));

/** Figures and gradient of a batch. */
function stepOf(policy: Learner, pairs: readonly Pair[], reference: readonly PairLogProbs[] | undefined) {
  const figures = summarise(accumulateBatch(policy, { pairs, reference }, () => {}));
  return { figures, gradients: policy.readGradients() };
}

const normOf = (gradients: readonly { data: Float32Array }[]): number =>
  Math.sqrt(gradients.reduce((all, { data }) => data.reduce((sum, value) => sum + value ** 2, all), 0));

describe("TRL's losses of the tiny Llama on a fixed batch of eight pairs", () => {
  test.each(Object.entries(ofTheModel))('%s', (_, { args, loss, gradNorm, metrics }) => {
    const training = trainingAs(args);
    const { figures, gradients } = stepOf(policyWith(training), goldenPairs, referenceOf(training));
    const near = (own: number | undefined, theirs: number, tolerance: number): void =>
      expect(Math.abs((own as number) - theirs)).toBeLessThan(tolerance);
    near(figures.loss, loss, 1e-6 + 2e-5 * Math.abs(loss));
    near(normOf(gradients), gradNorm, 1e-4 * gradNorm);
    near(figures.logpsChosen, metrics['logps/chosen'] as number, 2e-4);
    near(figures.logpsRejected, metrics['logps/rejected'] as number, 2e-4);
    near(figures.rewardChosen, metrics['rewards/chosen'] as number, 2e-4 * training.beta);
    near(figures.rewardRejected, metrics['rewards/rejected'] as number, 2e-4 * training.beta);
    near(figures.rewardMargin, metrics['rewards/margins'] as number, 2e-4 * training.beta);
    expect(figures.rewardAccuracy).toBe(metrics['rewards/accuracies']);
  });
});

describe('any split of an optimizer batch gives the same loss and the same gradient', () => {
  const settings: Partial<Record<LossType, object>> = {
    exo_pair: { labelSmoothing: 0.1 },
    cdpo: { labelSmoothing: 0.1 },
    sigmoid: { useWeighting: true, ldAlpha: 0.3, fDivergence: 'js_divergence' },
  };
  // Twice the batch has more rows than one head call takes.
  const twice = ['aot', 'sigmoid'];
  test.each(lossTypes)('%s', (type) => {
    const copies = <T>(all: T[]): T[] => (twice.includes(type) ? [...all, ...all] : all);
    const [whole, split] = [100_000, 200].map((microBatchTokens) => {
      const training = trainingOf({ loss: [{ type, weight: 0.7 }], ...settings[type], microBatchTokens });
      const reference = needsReference(training) ? copies(referenceOf(training)) : undefined;
      return stepOf(policyWith(training), copies(goldenPairs), reference);
    }) as [ReturnType<typeof stepOf>, ReturnType<typeof stepOf>];
    expect(Math.abs((split.figures.loss as number) / (whole.figures.loss as number) - 1)).toBeLessThan(1e-5);
    const expected = new Map(whole.gradients.map(({ name, data }) => [name, data]));
    for (const { name, data } of split.gradients) {
      const distance = relativeDistance(data, expected.get(name) as Float32Array);
      if (!(distance < 1e-5)) throw new Error(`the gradient of ${name} is off by ${distance}`);
    }
  });
});
