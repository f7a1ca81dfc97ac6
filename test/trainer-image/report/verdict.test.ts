import { describe, expect, test } from '@jest/globals';
import type { Comparison } from '../../../crds/progress.ts';
import {
  aboutZero,
  caseOf,
  verdictOn,
  type Evidence,
  type VerdictCase,
} from '../../../trainer-image/report/verdict.ts';

const comparison: Comparison = {
  prompts: 8,
  differing: 6,
  preferred: 5,
  tokens: 20,
  referenceTokens: 20,
  repetition: 0.05,
  referenceRepetition: 0.04,
  kl: 0.2,
};
/** 80 of 100 pairs won: one standard error is 0.04 (Wilson: 0.0399), so 7.5 of them above a coin. */
const good: Evidence = {
  pairs: 100,
  start: {},
  now: { evalRewardAccuracy: 0.8, evalKL: 0.1 },
  comparison,
  signals: [],
  findings: [],
  betaHolds: true,
};
const now = (evalRewardAccuracy: number, evalKL = 0.1): Partial<Evidence> => ({ now: { evalRewardAccuracy, evalKL } });

describe('the verdict on a run', () => {
  const cases: [string, Partial<Evidence>, VerdictCase][] = [
    ['a gain that is more than noise', {}, 'good'],
    ['a gain within two standard errors of a coin, 0.05 each', now(0.58), 'unsure'],
    ['a gain that is noise with a policy that is where it was', now(0.52, 0.001), 'unmoved'],
    ['a loss that is more than noise', now(0.3), 'worse'],
    ['nothing held out', { pairs: 0, now: {} }, 'nothingHeldOut'],
    ['an exported step that was not evaluated', { now: {} }, 'notEvaluated'],
    ['a gain with answers that repeat themselves', { comparison: { ...comparison, repetition: 0.5 } }, 'broken'],
    [
      'answers that repeat themselves as the reference does',
      { comparison: { ...comparison, repetition: 0.5, referenceRepetition: 0.5 } },
      'good',
    ],
    ['a gain with a warning of the curves', { signals: ['MarginRunaway'] }, 'warned'],
    ['noise with a warning of the curves', { ...now(0.52), signals: ['HeldOutLossRising'] }, 'warned'],
    ['a gain with a flaw of the data', { findings: ['LengthBias'] }, 'flawedData'],
    ['noise with a flaw of the data', { ...now(0.52), findings: ['LengthBias'] }, 'unsure'],
    ['a gain with the answers of before', { comparison: { ...comparison, differing: 0 } }, 'sameAnswers'],
    ['a gain on 40 pairs', { pairs: 40 }, 'fewPairs'],
    ['a gain without a comparison', { comparison: undefined }, 'good'],
    // sqrt(0.0399^2 + 0.0435^2) = 0.0590: 0.80 is 0.05 above 0.75.
    ['an accuracy that was there at the start', { start: { evalRewardAccuracy: 0.75 } }, 'unsure'],
    ['an accuracy far above that at the start', { start: { evalRewardAccuracy: 0.6 } }, 'good'],
  ];
  test.each(cases)('on %s', (_, part, expected) => {
    expect(caseOf({ ...good, ...part })).toBe(expected);
  });

  test('says what the figures say, and what to try next', () => {
    expect(verdictOn({ ...good, findings: ['LengthBias'] })).toEqual([
      'Held-out accuracy went from 50 % (none won or lost yet) to 80 %, with a standard error of 3.99 % on 100 pairs: a gain that is more than noise. The KL from the reference is 0.1 nats per token.',
      "6 of 8 compared answers changed; 5 % of them is repetition, of the reference's 4 %.",
      'Warnings: LengthBias.',
      'Next: look at what the checks found in the data: what is learnt from it may be that.',
    ]);
  });

  test('says that without held-out pairs nothing tells whether it generalises', () => {
    expect(verdictOn({ ...good, pairs: 0, now: {} })[0]).toMatch(/^Nothing was held out/);
  });

  test('has an error also where every pair is won', () => {
    // Wilson at z = 1: (1 / (2 * 53)) / (1 + 1 / 53) = 0.00926.
    expect(verdictOn({ ...good, pairs: 53, ...now(1) })[0]).toContain(
      '100 %, with a standard error of 0.926 % on 53 pairs',
    );
  });

  test('advises a higher beta to hold the policy, and for ORPO a lower one', () => {
    const broken = { ...good, comparison: { ...comparison, repetition: 0.5 } };
    const next = (betaHolds: boolean): string | undefined => verdictOn({ ...broken, betaHolds }).at(-1);
    expect([next(true), next(false)]).toEqual([
      expect.stringContaining('raise training.beta'),
      expect.stringContaining('lower training.beta'),
    ]);
  });
});

test.each([
  [-0.001, 'about 0'],
  [0.004, 'about 0'],
  [0.0512, '0.0512'],
])('a KL of %d is %s', (kl, shown) => {
  expect(aboutZero(kl)).toBe(shown);
});
