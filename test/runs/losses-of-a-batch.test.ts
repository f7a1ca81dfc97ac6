import { describe, expect, test } from '@jest/globals';
import { lossTypes, needsReference, type LossType } from '../../crds/losses.ts';
import { requireWithin } from '../parity/compared.ts';
import { ModelLosses, stepOf } from '../parity/losses.ts';
import { goldenPairs, relativeDistance, trainingOf } from '../trainer-image/golden.ts';
import { lossesOf } from '../trainer-image/loss/trl.ts';

const model = new ModelLosses('tiny');

/** Those of the tiny GPT-2: parity.test.ts. */
describe("TRL's losses of the tiny Llama on a fixed batch of eight pairs", () => {
  test.each(Object.entries(lossesOf.tiny))('%s', (_, known) => requireWithin(model.compare(known)));
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
      const reference = needsReference(training) ? copies(model.reference(training)) : undefined;
      return stepOf(model.policy(training), copies(goldenPairs), reference);
    }) as [ReturnType<typeof stepOf>, ReturnType<typeof stepOf>];
    expect(Math.abs((split.figures.loss as number) / (whole.figures.loss as number) - 1)).toBeLessThan(1e-5);
    const expected = new Map(whole.gradients.map(({ name, data }) => [name, data]));
    for (const { name, data } of split.gradients) {
      const distance = relativeDistance(data, expected.get(name) as Float32Array);
      if (!(distance < 1e-5)) throw new Error(`the gradient of ${name} is off by ${distance}`);
    }
  });
});
