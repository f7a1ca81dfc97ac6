import { describe, expect, test } from '@jest/globals';
import type { Pair } from '../../../trainer-image/data/pair.ts';
import { scope } from '../../../trainer-image/engine/engine.ts';
import { layOutExamples } from '../../../trainer-image/model/groups.ts';
import { headForward, rowValues } from '../../../trainer-image/model/head.ts';
import { HeldOutKl } from '../../../trainer-image/model/held-out-kl.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { accumulate, goldenFolder, goldenPairs, logProbs, trainingOf } from '../golden.ts';
import { checkpoint, pair, reference } from '../tiny-models.ts';

// A machine that does other things too may take longer than jest's five seconds.

/** Log-probabilities of an answer's tokens when prompt and answer stand alone, as every other trainer has them. */
function alone({ network }: Learner, prompt: Int32Array, completion: Int32Array): Float32Array {
  const layout = layOutExamples([{ row: 0, prompt, completion }]);
  return scope(() => {
    const { output, weights } = network.forward(layout);
    return rowValues(headForward(layout.heads[0]!, output, weights)).logProbs;
  });
}

/** Some pairs of other lengths beside it, so that a token that sees a neighbour would be noticed. */
const neighbours: Pair[] = [
  { ...pair, prompt: pair.prompt.slice(0, 3), chosen: pair.chosen.slice(0, 2), rejected: pair.rejected },
  pair,
  { ...pair, prompt: pair.prompt.slice(1), chosen: pair.rejected.slice(0, 1), rejected: pair.chosen.slice(1) },
];

const models: [string, () => string, readonly Pair[]][] = [
  ["TRL's tiny Llama", () => `${goldenFolder}/tiny-policy`, goldenPairs],
  ...Object.entries(reference.cases).map(([name, each]): [string, () => string, Pair[]] => [
    name,
    () => checkpoint(each),
    neighbours,
  ]),
];

describe('prompts computed once for both answers, without padding, give what each sequence alone gives:', () => {
  test.each(models)('%s', (name, folder, pairs) => {
    const learner = new Learner(folder(), trainingOf());
    const wrong: string[] = [];
    learner.tokenLogProbs(pairs).forEach((shared, i) => {
      const { prompt, ...answers } = pairs[i] as Pair;
      // These choose their frequencies by the longer of the two answers, as transformers does by the batch's longest.
      const longest = Math.max(answers.chosen.length, answers.rejected.length);
      const counts = (side: 'chosen' | 'rejected'): boolean =>
        !/dynamic|longrope/.test(name) || answers[side].length === longest;
      for (const side of (['chosen', 'rejected'] as const).filter(counts)) {
        const plain = alone(learner, prompt, answers[side]);
        const sum = (values: Float32Array): number => values.reduce((all, value) => all + value, 0);
        const off = Math.max(...plain.map((value, at) => Math.abs(value - (shared[side][at] as number))));
        if (!(off < 1e-4 && Math.abs(sum(plain) - sum(shared[side])) < 1e-4)) wrong.push(`${i} ${side}: ${off}`);
      }
    });
    expect(wrong).toEqual([]);
  });
});

test('the exact KL is the same however few positions are computed at once', () => {
  const learner = new Learner(`${goldenFolder}/tiny-policy`, trainingOf());
  const pairs = goldenPairs.slice(0, 2);
  const [whole, cut] = [new HeldOutKl(learner.network, Infinity), new HeldOutKl(learner.network, 7)];
  [whole, cut].forEach((each) => each.capture(pairs));
  learner.startStage();
  accumulate(learner, goldenPairs, logProbs(learner, goldenPairs));
  expect(learner.update(1, 1e-2)).toBeGreaterThan(0);
  const [expected, own] = [whole.measure(pairs), cut.measure(pairs)];
  expect(own.positions).toBe(expected.positions);
  expect(expected.sum).toBeGreaterThan(1e-3);
  expect(Math.abs(own.sum / expected.sum - 1)).toBeLessThan(1e-4);
});
