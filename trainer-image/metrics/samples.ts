import type { Comparison } from '../../crds/progress.ts';

/** One model's answer to a prompt. */
export interface Answer {
  text: string;
  tokens: number;
  /** Whether it came to its end, or was cut at maxNewTokens. */
  ended: boolean;
  repetition: number;
  /** Implicit reward (Rafailov et al. 2023, eq. 5 without its constant): beta times the log-ratio of policy to reference. */
  reward: number;
}

/** Both answers to one prompt. */
export interface Sample {
  source: 'heldOut' | 'prompts';
  prompt: string;
  policy: Answer;
  reference: Answer;
  /** KL(policy || reference) per token, sampled on the policy's answer: the mean of its tokens' log-ratios. */
  kl: number;
}

/** Share of n-grams that stood earlier in the text: seq-rep-n of Welleck et al. (2020), sec. 6. */
export function repeatedShare(tokens: ArrayLike<number>, n = 4): number {
  const count = tokens.length - n + 1;
  if (count <= 0) return 0;
  const list = Array.from(tokens);
  const distinct = new Set(Array.from({ length: count }, (_, i) => list.slice(i, i + n).join()));
  return 1 - distinct.size / count;
}

/** Whether so large a share of repeated 4-grams tells that answers are broken: people's text is far below. */
export const brokenBy = (repetition: number): boolean => repetition > 0.2;

/** Which answer the implicit reward prefers; neither where both are the same. */
export function preferredOf({ policy, reference }: Sample): 'policy' | 'reference' | undefined {
  if (policy.text === reference.text && policy.tokens === reference.tokens) return undefined;
  return policy.reward > reference.reward ? 'policy' : 'reference';
}

/** The comparison in a few numbers; undefined when nothing was compared. */
export function summariseSamples(samples: readonly Sample[]): Comparison | undefined {
  if (samples.length === 0) return undefined;
  const mean = (figure: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + figure(sample), 0) / samples.length;
  const preferences = samples.map(preferredOf);
  return {
    prompts: samples.length,
    differing: preferences.filter((preferred) => preferred !== undefined).length,
    preferred: preferences.filter((preferred) => preferred === 'policy').length,
    tokens: mean(({ policy }) => policy.tokens),
    referenceTokens: mean(({ reference }) => reference.tokens),
    repetition: mean(({ policy }) => policy.repetition),
    referenceRepetition: mean(({ reference }) => reference.repetition),
    kl: mean(({ kl }) => kl),
  };
}
