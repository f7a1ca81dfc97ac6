import { describe, expect, test } from '@jest/globals';
import { referenceFree } from '../../../crds/losses.ts';
import { trainingOf } from '../golden.ts';
import { requireWithin } from '../../parity/compared.ts';
import { alone, modelAlone, unitAlone } from '../../parity/reference-free.ts';
import { aloneSettings } from './trl.ts';

/** The tiny GPT-2 and runs of 20 steps: test/runs/parity.test.ts. */
describe("TRL's CPOTrainer and ORPOTrainer are met", () => {
  const cases = Object.keys(alone.cases);

  test.each(cases)('on made-up log-probabilities, with the gradient by each token, by %s', (name) =>
    requireWithin(unitAlone(name)),
  );

  test.each(cases)('on the fixed batch of the tiny Llama by %s', (name) => requireWithin(modelAlone('tiny', name)));

  test('by every loss without a reference', () => {
    const shown = Object.values(alone.cases).flatMap((known) => trainingOf(aloneSettings(known)).loss);
    expect(new Set(shown.map(({ type }) => type))).toEqual(new Set(referenceFree));
  });
});
