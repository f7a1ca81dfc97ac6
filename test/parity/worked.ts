import { needsReference } from '../../crds/losses.ts';
import { pairOutcomes } from '../../trainer-image/loss/objective.ts';
import { trainingOf } from '../trainer-image/golden.ts';
import { mean, type Compared, type Parts } from './compared.ts';

/** Every loss on three pairs, worked out from the papers' formulas in float64: value and derivative by each answer. */
const lengths = [
  [8, 10],
  [10, 7],
  [5, 6],
] as const;
const policy = { chosen: [-20, -31, -12.5], rejected: [-25, -28, -13] };
const reference = { chosen: [-22, -30, -14], rejected: [-24, -29.5, -17] };

const opposite = (chosen: number[]) => [chosen, chosen.map((value) => -value)] as const;
/** Sum of the chosen log-probabilities is -63.5, of 23 tokens. */
const crossEntropy = 63.5 / 23;

/** The type, perhaps with more words; its settings; values to 8 decimals, derivatives to 6. */
type WorkedCase = [name: string, settings: object, value: number, gradient?: readonly [number[], number[]]];

export const workedCases: WorkedCase[] = [
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
  ['sigmoid with forward_kl', { fDivergence: 'forward_kl' }, 0.70047451],
  ['sigmoid with js_divergence', { fDivergence: 'js_divergence' }, 0.69607503],
  ['sigmoid with alpha_divergence', { fDivergence: 'alpha_divergence' }, 0.7061158],
];

export const workedType = ([name]: WorkedCase): string => name.split(' ')[0] as string;

/** Such a case beside ours. */
export function workedLoss(known: WorkedCase): Parts {
  const [, settings, value, gradient] = known;
  const training = trainingOf({ loss: [{ type: workedType(known) }], ...settings });
  const answers = ({ chosen, rejected }: typeof policy, i: number) => ({
    chosen: chosen[i] as number,
    rejected: rejected[i] as number,
  });
  const scores = lengths.map(([chosen, rejected], i) => {
    const logProbs = answers(policy, i);
    return { logProbs, likelihood: logProbs.chosen, lengths: { chosen, rejected }, weight: 1 };
  });
  const outcomes = pairOutcomes(training, {
    scores,
    reference: needsReference(training) ? lengths.map((_, i) => answers(reference, i)) : undefined,
    totals: { pairs: 3, chosenTokens: 23 },
  });
  const slopes = (side: 'chosen' | 'rejected', at: 0 | 1): Compared[] =>
    outcomes.map(({ slopes: own }, i) => {
      return { what: `${side} ${i}`, own: own[side], theirs: gradient?.[at][i] as number, tolerance: 1e-6 };
    });
  const own = mean(outcomes.map(({ loss }) => loss));
  return {
    value: [{ what: 'loss', own, theirs: value, tolerance: 1e-8 }],
    ...(gradient === undefined ? {} : { gradient: [...slopes('chosen', 0), ...slopes('rejected', 1)] }),
  };
}
