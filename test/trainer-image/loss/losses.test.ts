import { describe, expect, test } from '@jest/globals';
import { needsReference } from '../../../crds/losses.ts';
import { lossAtZeroMargin, pairOutcomes } from '../../../trainer-image/loss/objective.ts';
import { requireWithin } from '../../parity/compared.ts';
import { finiteNumbers, setsWithoutNumber, unitLoss } from '../../parity/losses.ts';
import { workedCases, workedLoss } from '../../parity/worked.ts';
import { trainingOf } from '../golden.ts';
import { unit } from './trl.ts';

describe("the loss and its gradient on TRL's made-up log-probabilities", () => {
  test.each(Object.keys(unit.cases))('%s', (name) => {
    requireWithin(unitLoss(name));
    for (const set of setsWithoutNumber(name)) {
      expect([set, finiteNumbers(name, set).every(Number.isFinite)]).toEqual([set, true]);
    }
  });
});

describe('the loss and its gradient, worked out from the papers’ formulas in float64', () => {
  test.each(workedCases)('%s', (...known) => requireWithin(workedLoss(known)));
});

describe('rewards', () => {
  const scores = [
    { logProbs: { chosen: -3, rejected: -8 }, likelihood: -3, lengths: { chosen: 2, rejected: 4 }, weight: 1 },
  ];
  const rewards: [string, object, object][] = [
    ['the log-ratios', { loss: [{ type: 'sigmoid' }] }, { chosen: 0.2 * -2, rejected: 0.2 * -3 }],
    [
      'the log-ratios, whatever the divergence',
      { fDivergence: 'forward_kl' },
      { chosen: 0.2 * -2, rejected: 0.2 * -3 },
    ],
    ['cpo’s log-probabilities', { loss: [{ type: 'cpo' }] }, { chosen: 0.2 * -3, rejected: 0.2 * -8 }],
    ['simpo’s mean log-probabilities', { loss: [{ type: 'simpo' }] }, { chosen: 0.2 * -1.5, rejected: 0.2 * -2 }],
    ['orpo’s', { loss: [{ type: 'orpo' }, { type: 'sft' }] }, { chosen: 0.2 * -1.5, rejected: 0.2 * -2 }],
  ];
  test.each(rewards)('are beta times %s', (_, settings, expected) => {
    const training = trainingOf({ beta: 0.2, ...settings });
    const reference = needsReference(training) ? [{ chosen: -1, rejected: -5 }] : undefined;
    const [outcome] = pairOutcomes(training, { scores, reference, totals: { pairs: 1, chosenTokens: 2 } });
    expect(outcome?.rewards).toEqual(expected);
  });
});

describe('the loss where policy and reference are equal', () => {
  const scores = [
    { logProbs: { chosen: -3, rejected: -8 }, likelihood: -3, lengths: { chosen: 2, rejected: 3 }, weight: 1 },
    { logProbs: { chosen: -9, rejected: -4 }, likelihood: -9, lengths: { chosen: 4, rejected: 1 }, weight: 0.5 },
  ];
  const cases: [string, object, number][] = [
    ['sigmoid', {}, Math.log(2)],
    ['hinge', {}, 1],
    ['ipo', {}, 25],
    ['sppo_hard', { beta: 0.5 }, 2],
    ['bco_pair', {}, 2 * Math.log(2)],
    ['aot_unpaired', {}, Math.log(2)],
    // Minus the mean of the six chosen tokens: 12 / 6.
    ['sft', {}, 2],
  ];
  test.each(cases)('is that of %s with its settings', (type, settings, expected) => {
    const training = trainingOf({ loss: [{ type }], ...settings });
    const unweighted = scores.map((score) => ({ ...score, weight: 1 }));
    expect(lossAtZeroMargin(training, unweighted)).toBeCloseTo(expected, 12);
  });

  test('counts the weights of the terms and of the pairs', () => {
    const training = trainingOf({
      useWeighting: true,
      loss: [
        { type: 'hinge', weight: 4 },
        { type: 'sft', weight: 0.5 },
      ],
    });
    expect(lossAtZeroMargin(training, scores)).toBeCloseTo(4 * 0.75 + 0.5 * 2, 12);
  });
});
