import { describe, expect, test } from '@jest/globals';
import { needsReference } from '../../../crds/losses.ts';
import { lossAtZeroMargin, pairOutcomes, type PairOutcome } from '../../../trainer-image/loss/objective.ts';
import { pairScores, sumTokens, tokenSlopes, type PairTokens } from '../../../trainer-image/loss/scores.ts';
import type { Training } from '../../../trainer-image/model/learner.ts';
import { trainingOf } from '../golden.ts';
import { trainingAs, unit } from './trl.ts';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Rows of chosen answers, then of rejected ones -> pairs. */
function inPairs(rows: number[][]): PairTokens[] {
  const pairs = rows.length / 2;
  const answer = (i: number): Float32Array => Float32Array.from(rows[i] as number[]);
  return Array.from({ length: pairs }, (_, i) => ({ chosen: answer(i), rejected: answer(pairs + i) }));
}

/** `off`: relative error put on the policy's sums. */
function outcomesOn(set: string, training: Training, off = { chosen: 0, rejected: 0 }): PairOutcome[] {
  const { policy, reference, logSumSquares } = unit.sets[set] as (typeof unit.sets)[string];
  const squares = inPairs(logSumSquares);
  const scores = inPairs(policy).map((tokens, i) => {
    const score = pairScores(tokens, training.ldAlpha, training.useWeighting ? squares[i] : undefined);
    const { chosen, rejected } = score.logProbs;
    return { ...score, logProbs: { chosen: chosen * (1 + off.chosen), rejected: rejected * (1 + off.rejected) } };
  });
  const chosenTokens = scores.reduce((sum, { lengths }) => sum + lengths.chosen, 0);
  return pairOutcomes(training, {
    scores,
    reference: inPairs(reference).map((tokens) => sumTokens(tokens, training)),
    totals: { pairs: scores.length, chosenTokens },
  });
}

/** TRL adds up to 13 log-probabilities in float32: its sums are off by about so much. */
const float32 = 2 ** -22;
const roundings = [
  { chosen: float32, rejected: 0 },
  { chosen: -float32, rejected: 0 },
  { chosen: 0, rejected: float32 },
  { chosen: 0, rejected: -float32 },
];

/** All numbers of a result: the loss, both rewards, and the gradient by each token. */
function numbersOf(outcomes: readonly PairOutcome[], ldAlpha: number | undefined): number[] {
  const gradients = outcomes.map((outcome) => tokenSlopes(outcome.slopes, outcome, ldAlpha));
  return [
    mean(outcomes.map(({ loss }) => loss)),
    mean(outcomes.map(({ rewards }) => rewards.chosen)),
    mean(outcomes.map(({ rewards }) => rewards.rejected)),
    ...gradients.flatMap(({ chosen, rejected }) => [...chosen, ...rejected]),
  ];
}

/**
 * Where TRL's own value or gradient is no number: float32 overflows, or WPO changes in place what its backward needs.
 * Here each is finite (float64, and exp(-z + log m) in discopop), but for the gradients of `beyondFloat32`: weights and
 * their gradients are float32, and a step with such pairs stops as NonFinite, with their rows.
 */
const trlHasNoNumber = new Set([
  'sigmoid_forward_kl on extreme',
  'sigmoid_norm_forward_kl on extreme',
  'hinge_forward_kl on extreme',
  'ipo_forward_kl on extreme',
  'exo_pair_forward_kl on extreme',
  'robust_forward_kl on extreme',
  'discopop_forward_kl on far',
  'discopop_forward_kl on extreme',
  'ipo_alpha_divergence_0.5 on extreme',
  'discopop_alpha_divergence_0.5 on extreme',
  'ipo_alpha_divergence_1.5 on extreme',
  'discopop_alpha_divergence_1.5 on extreme',
  ...Object.keys(unit.sets).map((set) => `hinge_wpo on ${set}`),
  ...Object.keys(unit.sets).map((set) => `sft_wpo on ${set}`),
]);

const beyondFloat32 = new Set(['ipo_forward_kl on extreme', 'robust_forward_kl on extreme']);

describe("the loss and its gradient on TRL's made-up log-probabilities", () => {
  test.each(Object.entries(unit.cases))('%s', (name, { args, sets }) => {
    const training = trainingAs(args);
    for (const [set, expected] of Object.entries(sets)) {
      const own = numbersOf(outcomesOn(set, training), training.ldAlpha);
      if (trlHasNoNumber.has(`${name} on ${set}`)) {
        expect(own.slice(0, beyondFloat32.has(`${name} on ${set}`) ? 1 : undefined).every(Number.isFinite)).toBe(true);
        continue;
      }
      if ('error' in expected) throw new Error(`${name} on ${set}: TRL gave ${expected.error}`);
      const gradients = inPairs(expected.grad).flatMap(({ chosen, rejected }) => [...chosen, ...rejected]);
      const theirs = [expected.loss as number, ...expected.rewards, ...gradients];
      const rounded = roundings.map((off) => numbersOf(outcomesOn(set, training, off), training.ldAlpha));
      own.forEach((value, i) => {
        const rounding = rounded.reduce((sum, other) => sum + Math.abs((other[i] as number) - value), 0);
        const tolerance = 1e-6 + 1e-5 * Math.abs(theirs[i] as number) + rounding;
        if (!(Math.abs(value - (theirs[i] as number)) <= tolerance)) {
          throw new Error(`${name} on ${set}, number ${i}: ${value}, TRL's ${theirs[i]}, tolerance ${tolerance}`);
        }
      });
    }
  });
});

describe('the loss and its gradient, worked out from the papers’ formulas in float64', () => {
  const lengths = [
    [8, 10],
    [10, 7],
    [5, 6],
  ] as const;
  const policy = { chosen: [-20, -31, -12.5], rejected: [-25, -28, -13] };
  const reference = { chosen: [-22, -30, -14], rejected: [-24, -29.5, -17] };
  const sgn = (values: number[]): number[] => values.map((value) => -value);
  const opposite = (chosen: number[]) => [chosen, sgn(chosen)] as const;
  /** Sum of the chosen log-probabilities is -63.5, of 23 tokens. */
  const crossEntropy = 63.5 / 23;
  const alone = (type: string): { loss: object[] } => ({ loss: [{ type }] });
  const cases: [string, object, number, readonly [number[], number[]]][] = [
    ['sigmoid', {}, 0.73541136, opposite([-0.014185, -0.018739, -0.018739])],
    ['cdpo', { labelSmoothing: 0.1 }, 0.72874469, opposite([-0.010852, -0.015406, -0.015406])],
    ['hinge', {}, 1.06666667, opposite([-0.033333, -0.033333, -0.033333])],
    [
      'ipo',
      {},
      26.22174792,
      [
        [-0.3875, -0.354286, -0.715556],
        [0.31, 0.506122, 0.596296],
      ],
    ],
    ['exo_pair', { labelSmoothing: 0.1 }, 0.55625663, opposite([-0.01546, -0.020078, -0.020078])],
    [
      'nca_pair',
      {},
      1.41147445,
      [
        [-0.005842, -0.009582, -0.006462],
        [0.007917, 0.008957, 0.009978],
      ],
    ],
    ['robust', { labelSmoothing: 0.1 }, 0.74374469, opposite([-0.018352, -0.022906, -0.022906])],
    [
      'bco_pair',
      {},
      1.43062051,
      [
        [-0.015006, -0.017499, -0.015419],
        [0.015834, 0.017914, 0.019956],
      ],
    ],
    [
      'sppo_hard',
      {},
      65.5,
      [
        [-2, -4, -2.333333],
        [2.666667, 4.333333, 6],
      ],
    ],
    ['aot', { labelSmoothing: 0.1 }, 0.72501178, opposite([-0.011672, -0.015406, -0.014581])],
    [
      'aot_unpaired',
      { labelSmoothing: 0.1 },
      0.72147774,
      [
        [-0.014994, -0.013333, -0.013333],
        [0.013333, 0.013333, 0.014994],
      ],
    ],
    [
      'apo_zero',
      {},
      1.01628455,
      [
        [-0.008251, -0.008313, -0.008287],
        [0.008313, 0.008287, 0.008009],
      ],
    ],
    [
      'apo_down',
      {},
      1.03739838,
      [
        [0.000102, 0.000108, 0.000082],
        [0.008149, 0.008204, 0.008204],
      ],
    ],
    ['discopop', {}, 0.79945594, opposite([-0.024361, -0.01687, -0.01687])],
    [
      'sigmoid_norm',
      {},
      0.69881126,
      [
        [-0.002047, -0.001693, -0.003394],
        [0.001638, 0.002418, 0.002829],
      ],
    ],
    [
      'simpo',
      { beta: 2.5, simpoGamma: 1.375 },
      1.42048191,
      [
        [-0.083144, -0.024518, -0.150166],
        [0.066516, 0.035026, 0.125138],
      ],
    ],
    ['cpo', { cpoAlpha: 0 }, 0.66563063, opposite([-0.012585, -0.019148, -0.01625])],
    [
      'orpo',
      {},
      0.06403927 + crossEntropy,
      [
        [-0.00227, -0.000989, -0.004295],
        [0.001816, 0.001375, 0.00371],
      ],
    ],
  ];
  const outcomesWith = (training: Training): PairOutcome[] =>
    pairOutcomes(training, {
      scores: lengths.map(([c, r], i) => ({
        logProbs: { chosen: policy.chosen[i] as number, rejected: policy.rejected[i] as number },
        likelihood: policy.chosen[i] as number,
        lengths: { chosen: c, rejected: r },
        weight: 1,
      })),
      reference: needsReference(training)
        ? lengths.map((_, i) => ({ chosen: reference.chosen[i] as number, rejected: reference.rejected[i] as number }))
        : undefined,
      totals: { pairs: 3, chosenTokens: 23 },
    });

  test.each(cases)('%s', (type, settings, value, [chosen, rejected]) => {
    const outcomes = outcomesWith(trainingOf({ ...alone(type), ...settings }));
    expect(mean(outcomes.map(({ loss }) => loss))).toBeCloseTo(value, 7);
    outcomes.forEach(({ slopes }, i) => {
      expect(slopes.chosen).toBeCloseTo(chosen[i] as number, 5);
      expect(slopes.rejected).toBeCloseTo(rejected[i] as number, 5);
    });
  });

  test.each([
    ['forward_kl', 0.70047451],
    ['js_divergence', 0.69607503],
    ['alpha_divergence', 0.7061158],
  ])('sigmoid with %s', (fDivergence, value) => {
    expect(mean(outcomesWith(trainingOf({ fDivergence })).map(({ loss }) => loss))).toBeCloseTo(value, 7);
  });
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
