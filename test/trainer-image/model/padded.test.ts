import { afterEach, describe, expect, test } from '@jest/globals';
import { recordings, setRoundedShapes } from '../../../trainer-image/engine/engine.ts';
import { layOutPairs, splitPairs } from '../../../trainer-image/model/groups.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { cut, requireEqual, requireEqualPadded, stepOf } from '../alike.ts';
import { goldenFolder, goldenPairs, logProbs, trainingOf } from '../golden.ts';
import { checkpoint, reference } from '../tiny-models.ts';

afterEach(() => setRoundedShapes(false));

describe('with padding the loss and the gradient are those without:', () => {
  /** All others: test/runs/alike.test.ts. */
  test.each(['llama, dynamic rope', 'qwen2, window from layer 1', 'gpt2', 'gemma3_text, nested form'])(
    '%s',
    requireEqualPadded,
  );

  test("TRL's tiny Llama, which moves with every micro-batch", () => {
    const learner = new Learner(`${goldenFolder}/tiny-policy`, trainingOf());
    requireEqual(learner, goldenPairs, logProbs(new Learner(`${goldenFolder}/tiny`, trainingOf()), goldenPairs));
  });
});

test('micro-batches whose lengths are in the same steps are computed by the same functions', () => {
  const learner = new Learner(checkpoint(reference.cases['llama']!), trainingOf());
  const none = [{ chosen: 0, rejected: 0 }];
  setRoundedShapes(true);
  stepOf(learner, [cut(10, 20, 5)], none);
  const before = recordings().functions;
  stepOf(learner, [cut(13, 18, 7)], none);
  expect(recordings().functions).toBe(before);
  stepOf(learner, [cut(20, 18, 7)], none);
  expect(recordings().functions).toBeGreaterThan(before);
});

test('the token budget counts padding', () => {
  const pairs = [cut(3, 3, 3), cut(17, 3, 3), cut(3, 3, 3), cut(3, 3, 3)];
  setRoundedShapes(true);
  const parts = splitPairs(pairs, 120);
  expect(parts.map(({ length }) => length)).toEqual([2, 2]);
  for (const part of parts) expect(layOutPairs(part).tokens.length).toBeLessThanOrEqual(120);
});
