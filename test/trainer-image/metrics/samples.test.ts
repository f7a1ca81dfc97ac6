import { expect, test } from '@jest/globals';
import { preferredOf, repeatedShare, summariseSamples, type Sample } from '../../../trainer-image/metrics/samples.ts';

test.each([
  [[1, 2, 3, 4, 5, 6], 0],
  // Seven 4-grams, of which 1234, 2341, 3412 and 4123 are distinct.
  [[1, 2, 3, 4, 1, 2, 3, 4, 1, 2], 3 / 7],
  [[9, 9, 9, 9, 9, 9], 2 / 3],
  [[1, 2, 3], 0],
  [[], 0],
])('of the 4-grams of %j the share %d repeats earlier ones', (tokens, share) => {
  expect(repeatedShare(tokens)).toBeCloseTo(share, 12);
});

const sample = (policyReward: number, referenceReward: number, text = 'other'): Sample => ({
  source: 'prompts',
  prompt: 'p',
  policy: { text: 'one', tokens: 4, ended: true, repetition: 0.5, reward: policyReward },
  reference: { text, tokens: 4, ended: true, repetition: 0, reward: referenceReward },
  kl: 0.2,
});

test('the implicit reward prefers the answer that it rates higher, and none of two equal ones', () => {
  expect([sample(1, 0), sample(0, 1), sample(1, 1, 'one')].map(preferredOf)).toEqual([
    'policy',
    'reference',
    undefined,
  ]);
});

test('samples are summarised in means and counts', () => {
  expect(summariseSamples([])).toBeUndefined();
  expect(summariseSamples([sample(1, 0), sample(0, 1), sample(1, 1, 'one')])).toEqual({
    prompts: 3,
    differing: 2,
    preferred: 1,
    tokens: 4,
    referenceTokens: 4,
    repetition: 0.5,
    referenceRepetition: 0,
    kl: expect.closeTo(0.2, 12),
  });
});
