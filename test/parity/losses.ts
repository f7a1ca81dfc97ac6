import type { Pair } from '../../trainer-image/data/pair.ts';
import { summarise } from '../../trainer-image/evaluate.ts';
import { pairOutcomes, type PairOutcome } from '../../trainer-image/loss/objective.ts';
import {
  pairScores,
  sumTokens,
  tokenSlopes,
  type PairLogProbs,
  type PairTokens,
} from '../../trainer-image/loss/scores.ts';
import { Learner, type Training } from '../../trainer-image/model/learner.ts';
import { accumulateBatch } from '../../trainer-image/stages/accumulate.ts';
import { goldenFolder, goldenPairs, trainingOf } from '../trainer-image/golden.ts';
import { trainingAs, unit, type ModelCase, type UnitNumbers } from '../trainer-image/loss/trl.ts';
import { mean, type Compared, type Parts } from './compared.ts';

/** Rows of chosen answers, then of rejected ones -> pairs. */
function inPairs(rows: number[][]): PairTokens[] {
  const pairs = rows.length / 2;
  const answer = (i: number): Float32Array => Float32Array.from(rows[i] as number[]);
  return Array.from({ length: pairs }, (_, i) => ({ chosen: answer(i), rejected: answer(pairs + i) }));
}

/** Made-up log-probabilities and what is computed of them, against their reference or without one. */
interface Made {
  set: string;
  training: Training;
  alone?: boolean;
}

/** `off`: relative error put on the policy's sums. */
function outcomesOn({ set, training, alone = false }: Made, off = { chosen: 0, rejected: 0 }): PairOutcome[] {
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
    reference: alone ? undefined : inPairs(reference).map((tokens) => sumTokens(tokens, training)),
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

const unitCase = (name: string) => unit.cases[name] as (typeof unit.cases)[string];

/** Sets of made-up log-probabilities on which TRL has no number for a case. */
export const setsWithoutNumber = (name: string): string[] =>
  Object.keys(unitCase(name).sets).filter((set) => trlHasNoNumber.has(`${name} on ${set}`));

/** Our numbers on such a set, those that must be finite. */
export function finiteNumbers(name: string, set: string): number[] {
  const training = trainingAs(unitCase(name).args);
  const numbers = numbersOf(outcomesOn({ set, training }), training.ldAlpha);
  return beyondFloat32.has(`${name} on ${set}`) ? numbers.slice(0, 1) : numbers;
}

/** A case of TRL's losses on made-up log-probabilities, on every set where TRL has numbers; no part where it has none. */
export function unitLoss(name: string): Parts {
  const { args, sets } = unitCase(name);
  const without = setsWithoutNumber(name);
  const training = trainingAs(args);
  const numbers = Object.entries(sets)
    .filter(([set]) => !without.includes(set))
    .map(([set, expected]) => unitNumbers({ set, training }, expected));
  return numbers.length === 0 ? {} : unitParts(numbers);
}

/** Numbers of some sets, each in the order of `numbersOf`. */
export function unitParts(numbers: readonly Compared[][]): Parts {
  const part = (from: number, to?: number): Compared[] => numbers.flatMap((each) => each.slice(from, to));
  return { value: part(0, 1), rewards: part(1, 3), gradient: part(3) };
}

/** Ours beside TRL's on one set. */
export function unitNumbers(made: Made, expected: UnitNumbers): Compared[] {
  const { set, training } = made;
  if ('error' in expected) throw new Error(`TRL gave ${expected.error} on ${set}`);
  const gradients = inPairs(expected.grad).flatMap(({ chosen, rejected }) => [...chosen, ...rejected]);
  const theirs = [expected.loss as number, ...expected.rewards, ...gradients];
  const own = numbersOf(outcomesOn(made), training.ldAlpha);
  const rounded = roundings.map((off) => numbersOf(outcomesOn(made, off), training.ldAlpha));
  return own.map((value, i) => {
    const rounding = rounded.reduce((sum, other) => sum + Math.abs((other[i] as number) - value), 0);
    const tolerance = 1e-6 + 1e-5 * Math.abs(theirs[i] as number) + rounding;
    return { what: `number ${i} on ${set}`, own: value, theirs: theirs[i] as number, tolerance };
  });
}

/** Losses of the fixed batch, of a tiny policy against a tiny reference: TRL's cases. */
export class ModelLosses {
  private readonly tokens: PairTokens[];
  private readonly loaded: Learner;

  constructor(name: 'tiny' | 'tiny-gpt2') {
    this.tokens = new Learner(`${goldenFolder}/${name}`, trainingOf()).tokenLogProbs(goldenPairs);
    this.loaded = new Learner(`${goldenFolder}/${name}-policy`, trainingOf());
  }

  /** The policy with these settings and no gradient: one for all, since no step is taken. */
  policy(training: Training): Learner {
    this.loaded.training = training;
    this.loaded.dropGradients();
    return this.loaded;
  }

  reference({ ldAlpha }: Training): PairLogProbs[] {
    return this.tokens.map((each) => sumTokens(each, { ldAlpha }));
  }

  compare({ args, loss, gradNorm, metrics }: ModelCase): Parts {
    const training = trainingAs(args);
    const { figures, gradients } = stepOf(this.policy(training), goldenPairs, this.reference(training));
    const near = (own: number | undefined, what: string, tolerance: number): Compared => {
      return { what, own: own as number, theirs: metrics[what] as number, tolerance };
    };
    // discopop's temperature magnifies what float32 rounds off TRL's log-probabilities.
    const steepness = training.loss.some(({ type }) => type === 'discopop') ? training.beta / training.discopopTau : 1;
    const tolerance = 1e-4 * gradNorm * Math.max(1, steepness);
    const norm = { what: 'norm', own: normOf(gradients), theirs: gradNorm, tolerance };
    return {
      loss: [{ what: 'loss', own: figures.loss as number, theirs: loss, tolerance: 1e-6 + 2e-5 * Math.abs(loss) }],
      'gradient norm': [norm],
      'log-probabilities': [
        near(figures.logpsChosen, 'logps/chosen', 2e-4),
        near(figures.logpsRejected, 'logps/rejected', 2e-4),
      ],
      rewards: [
        near(figures.rewardChosen, 'rewards/chosen', 2e-4 * training.beta),
        near(figures.rewardRejected, 'rewards/rejected', 2e-4 * training.beta),
        near(figures.rewardMargin, 'rewards/margins', 2e-4 * training.beta),
        // None of these margins is near zero: accuracies are equal.
        near(figures.rewardAccuracy, 'rewards/accuracies', 1e-7),
      ],
    };
  }
}

/** Figures and gradient of a batch. */
export function stepOf(policy: Learner, pairs: readonly Pair[], reference: readonly PairLogProbs[] | undefined) {
  const figures = summarise(accumulateBatch(policy, { pairs, reference }, () => {}));
  return { figures, gradients: policy.readGradients() };
}

export const normOf = (gradients: readonly { data: Float32Array }[]): number =>
  Math.sqrt(gradients.reduce((all, { data }) => data.reduce((sum, value) => sum + value ** 2, all), 0));
