import { describe, expect, test } from '@jest/globals';
import { packBlocks } from '../../../trainer-image/data/packing.ts';
import type { Example } from '../../../trainer-image/data/pair.ts';
import { exampleTokens } from '../../../trainer-image/model/groups.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { sftSteps } from '../../../trainer-image/stages/sft.ts';
import { golden, goldenFolder, goldenPairs, relativeDistance, specOf, trainingOf } from '../golden.ts';

const examples = goldenPairs.map(({ row, prompt, chosen }): Example => ({ row, prompt, completion: chosen }));
const tokens = examples.reduce((sum, { completion }) => sum + completion.length, 0);
/** TRL's own summed log-probabilities of the same answers. */
const expected = golden.logps.policy.slice(0, examples.length).reduce((sum, value) => sum - value, 0);
const learner = new Learner(`${goldenFolder}/tiny-policy`, trainingOf());

function gradientOf(parts: readonly (readonly Example[])[]): Map<string, Float32Array> {
  for (const part of parts) learner.accumulateSft(part, tokens);
  const gradients = new Map(learner.readGradients().map(({ name, data }) => [name, data]));
  learner.dropGradients();
  return gradients;
}

describe('fine-tuning', () => {
  test("takes its loss from the answers' tokens alone: the sum that TRL gives for them", () => {
    const loss = learner.accumulateSft(examples, tokens);
    learner.dropGradients();
    expect(Math.abs(loss - expected)).toBeLessThan(2e-4 * examples.length);
    expect(Math.abs(-learner.exampleLogProb(examples) - expected)).toBeLessThan(2e-4 * examples.length);
  });

  test('has the same gradient for a packed block as for its examples one by one: none sees another', () => {
    const block = packBlocks(examples.map(exampleTokens), 4096);
    expect(block).toHaveLength(1);
    const packed = gradientOf(block.map((items) => items.map((item) => examples[item] as Example)));
    const alone = gradientOf(examples.map((example) => [example]));
    for (const [name, gradient] of packed) {
      expect(relativeDistance(gradient, alone.get(name) as Float32Array)).toBeLessThan(1e-5);
    }
  });

  const lengths = examples.map(exampleTokens);
  const longest = Math.max(...lengths);
  test.each([
    ['rows', { batchSize: 3, epochs: 2 }, 2 * Math.ceil(examples.length / 3)],
    ['blocks when it packs', { batchSize: 1, packing: true, maxLength: longest }, packBlocks(lengths, longest).length],
    ["blocks of training's length unless it has its own", { batchSize: 1, packing: true }, 1],
  ])('counts its steps in %s', (_, sft, steps) => {
    const run = { job: { spec: specOf({ sft, training: { maxLength: 4096 } }) } } as Parameters<
      typeof sftSteps
    >[0]['run'];
    expect(sftSteps({ run }, examples)).toBe(steps);
  });
});
