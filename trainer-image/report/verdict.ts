import type { Comparison, Metrics } from '../../crds/progress.ts';
import { percent, standardError } from '../data/quality/share.ts';
import { brokenBy } from '../metrics/samples.ts';

/** What a run is judged by. */
export interface Evidence {
  /** Held-out pairs. */
  pairs: number;
  /** Held-out figures before the first step; an accuracy is missing where policy and reference were equal. */
  start: Metrics;
  /** Held-out figures of the exported weights. */
  now: Metrics;
  comparison: Comparison | undefined;
  /** Reasons of what the curves warn of, and of the checks of the data that are beyond their threshold. */
  signals: readonly string[];
  findings: readonly string[];
  /** False for ORPO, whose beta is the weight of its odds ratio: a higher one moves the policy further. */
  betaHolds: boolean;
}

/** Standard errors of a difference that is more than noise. */
const sure = 2;
/** Held-out pairs below which an accuracy says little: its standard error is over 5 points at 85 %. */
const few = 50;

/** The change of the held-out accuracy, in shares, from a coin's half where no pair was won or lost before. */
interface Gain {
  from: number | undefined;
  to: number;
  error: number;
  /** Standard errors by which it rose. */
  size: number;
}

function gainOf({ pairs, start, now }: Evidence): Gain | undefined {
  const [from, to] = [start.evalRewardAccuracy, now.evalRewardAccuracy];
  if (pairs === 0 || to === undefined) return undefined;
  const error = standardError(to, pairs);
  const ofBoth = from === undefined ? error : Math.hypot(error, standardError(from, pairs));
  return { from, to, error, size: (to - (from ?? 0.5)) / ofBoth };
}

const verdictOf = ({ size }: Gain): string =>
  Math.abs(size) <= sure
    ? 'no more than noise'
    : size > 0
      ? 'a gain that is more than noise'
      : 'a loss that is more than noise';

function ofAccuracy(gain: Gain, { pairs, now }: Evidence): string {
  const from = gain.from === undefined ? '50 % (none won or lost yet)' : percent(gain.from);
  const kl = now.evalKL === undefined ? '' : ` The KL from the reference is ${aboutZero(now.evalKL)} nats per token.`;
  return `Held-out accuracy went from ${from} to ${percent(gain.to)}, with a standard error of ${percent(gain.error)} on ${pairs} pairs: ${verdictOf(gain)}.${kl}`;
}

function ofAnswers({ differing, prompts, repetition, referenceRepetition }: Comparison): string {
  return `${differing} of ${prompts} compared answers changed; ${percent(repetition)} of them is repetition, of the reference's ${percent(referenceRepetition)}.`;
}

/** Below this a KL per token cannot be told from 0 on the few answers that it is sampled on; it may even come out negative. */
const leastKl = 0.005;
export const aboutZero = (kl: number): string => (kl < leastKl ? 'about 0' : String(Number(kl.toPrecision(3))));

interface Case {
  when: (evidence: Evidence, gain: Gain | undefined) => boolean;
  next: (hold: string, loosen: string) => string;
}

/** What to try next: the first case that applies. `hold` and `loosen` keep the policy near the reference, or let it go. */
const cases = {
  nothingHeldOut: {
    when: ({ pairs }) => pairs === 0,
    next: () => 'set dataset.holdout (0.1, say) or dataset.evalSource, so that there are pairs to judge by',
  },
  notEvaluated: {
    when: (_, gain) => gain === undefined,
    next: () => 'look at the log: the held-out pairs were not evaluated with the exported weights',
  },
  broken: {
    when: ({ comparison: c }) =>
      c !== undefined && brokenBy(c.repetition) && c.repetition > c.referenceRepetition + 0.1,
    next: (hold) =>
      `the answers have broken into repetition: ${hold}, lower training.learningRate or train fewer steps`,
  },
  worse: {
    when: (_, gain) => gain !== undefined && gain.size < -sure,
    next: () =>
      'the held-out pairs are preferred the wrong way round: see whether chosen and rejected mean the same in both sets',
  },
  warned: {
    when: ({ signals }) => signals.length > 0,
    next: () => 'begin with what the warnings of the curves advise',
  },
  unmoved: {
    when: ({ now }, gain) => gain !== undefined && gain.size <= sure && (now.evalKL ?? Infinity) < leastKl,
    next: (_, loosen) => `the model has hardly moved: train longer, raise training.learningRate or ${loosen}`,
  },
  unsure: {
    when: (_, gain) => gain !== undefined && gain.size <= sure,
    next: () =>
      'the model has moved, but not towards these preferences: add pairs or train longer, and hold out more to be surer',
  },
  flawedData: {
    when: ({ findings }) => findings.length > 0,
    next: () => 'look at what the checks found in the data: what is learnt from it may be that',
  },
  sameAnswers: {
    when: ({ comparison }) => comparison !== undefined && comparison.differing === 0,
    next: (_, loosen) => `the model ranks the pairs, but answers as before: train longer or ${loosen}`,
  },
  fewPairs: {
    when: ({ pairs }) => pairs < few,
    next: () => `hold out more than ${few} pairs for a firmer figure, and read the model's answers`,
  },
  good: {
    when: () => true,
    next: () =>
      "read the model's answers; --betas tells whether another beta keeps this accuracy nearer to the reference",
  },
} as const satisfies Record<string, Case>;
export type VerdictCase = keyof typeof cases;

/** The case of `cases` that the evidence is. */
export function caseOf(evidence: Evidence): VerdictCase {
  const gain = gainOf(evidence);
  return (Object.keys(cases) as VerdictCase[]).find((name) => cases[name].when(evidence, gain)) ?? 'good';
}

/** The run in a few plain sentences: what the held-out pairs and the answers say, and what to try next. */
export function verdictOn(evidence: Evidence): string[] {
  const { pairs, comparison, betaHolds } = evidence;
  const warnings = [...evidence.signals, ...evidence.findings];
  const gain = gainOf(evidence);
  const [higher, lower] = ['raise training.beta', 'lower training.beta'];
  const [hold, loosen] = betaHolds ? ([higher, lower] as const) : ([lower, higher] as const);
  return [
    ...(pairs === 0 ? ['Nothing was held out, so nothing tells whether what was learnt holds for other pairs.'] : []),
    ...(gain === undefined ? [] : [ofAccuracy(gain, evidence)]),
    ...(comparison === undefined ? [] : [ofAnswers(comparison)]),
    ...(warnings.length === 0 ? [] : [`Warnings: ${warnings.join(', ')}.`]),
    `Next: ${cases[caseOf(evidence)].next(hold, loosen)}.`,
  ];
}
