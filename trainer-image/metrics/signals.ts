import type { Entry } from './history.ts';

/** Something in the curves that a user should look at; the reason is the Event's. */
export interface Signal {
  reason: 'MarginRunaway' | 'HeldOutLossRising' | 'LikelihoodDisplacement';
  message: string;
}

/** Bounds of the signals, and of the alert rules in charts/monitoring/rules.ts. */
export const bounds = {
  /** Distance of the first step's loss from that at zero margin, and in shares of it where it is above 1. */
  firstStepLoss: 1e-3,
  /** Reward margin of a runaway. */
  margin: 10,
  /** Rise of the held-out loss over its least value. */
  risenLoss: 0.02,
  /** Share of its first log-probability that a chosen answer may lose. */
  fallenShare: 0.2,
} as const;
/** Training steps in a row that make a runaway. */
const runawaySteps = 10;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const digits = (value: number): string => value.toPrecision(4);

type Figure = 'loss' | 'rewardMargin' | 'rewardAccuracy' | 'evalLoss' | 'evalLogpsChosen';

/** Step and value where an entry of the kind has the figure, oldest first. */
function series(entries: readonly Entry[], kind: Entry['kind'], figure: Figure): { step: number; value: number }[] {
  return entries.flatMap(({ kind: own, step, metrics }) => {
    const value = metrics[figure];
    return own === kind && value !== undefined ? [{ step, value }] : [];
  });
}

/** Every pair of the last steps is won by far: nothing is left to learn from them, and the policy moves on. */
function marginRunaway(entries: readonly Entry[]): Signal | undefined {
  const last = entries.filter(({ kind }) => kind === 'train').slice(-runawaySteps);
  const margin = mean(last.map(({ metrics }) => metrics.rewardMargin ?? 0));
  const won = last.every(({ metrics }) => metrics.rewardAccuracy === 1);
  if (last.length < runawaySteps || !won || margin <= bounds.margin) return undefined;
  const message = `the reward margin is ${digits(margin)} over the last ${runawaySteps} steps with every pair won: train fewer epochs, on more data or with a higher training.beta`;
  return { reason: 'MarginRunaway', message };
}

/** Held-out loss over its least value while the training loss went on falling: what is learnt holds for these pairs only. */
function heldOutLossRising(entries: readonly Entry[]): Signal | undefined {
  const heldOut = series(entries, 'heldOut', 'evalLoss');
  const now = heldOut.at(-1);
  const least = heldOut.reduce(
    (best, one) => (one.value < best.value ? one : best),
    heldOut[0] ?? { step: 0, value: 0 },
  );
  if (now === undefined || now.value - least.value <= bounds.risenLoss) return undefined;
  const train = series(entries, 'train', 'loss');
  const lossOf = (steps: typeof train): number => mean(steps.map(({ value }) => value));
  const since = train.filter(({ step }) => step > least.step);
  // The first step stands for what was before, where the least value is that before training.
  const before = least.step === 0 ? train.slice(0, 1) : train.filter(({ step }) => step <= least.step);
  if (since.length === 0 || lossOf(since) >= lossOf(before.slice(-since.length))) return undefined;
  const message = `held-out loss rose from ${digits(least.value)} (step ${least.step}) to ${digits(now.value)} while the training loss fell: train fewer steps, set evaluation.earlyStopping or raise training.beta`;
  return { reason: 'HeldOutLossRising', message };
}

/** Likelihood displacement (Razin et al. 2024): the chosen answers themselves become unlikely. */
function likelihoodDisplacement(entries: readonly Entry[], chosenTokens: number): Signal | undefined {
  const chosen = series(entries, 'heldOut', 'evalLogpsChosen');
  const [start, now] = [chosen[0], chosen.at(-1)];
  if (
    start === undefined ||
    now === undefined ||
    now.value - start.value >= -bounds.fallenShare * Math.abs(start.value)
  )
    return undefined;
  const perToken = (value: number): string => digits(value / chosenTokens);
  const message = `held-out chosen answers fell from ${perToken(start.value)} to ${perToken(now.value)} in log-probability per token since step ${start.step}: raise training.beta, or fine-tune on them first (sft)`;
  return { reason: 'LikelihoodDisplacement', message };
}

/** What the curves warn of as of their latest entry. `chosenTokens`: mean length of the held-out chosen answers. */
export function signalsOf(entries: readonly Entry[], chosenTokens: number): Signal[] {
  const signals =
    entries.at(-1)?.kind === 'train'
      ? [marginRunaway(entries.slice(-2 * runawaySteps))]
      : [heldOutLossRising(entries), likelihoodDisplacement(entries, chosenTokens)];
  return signals.filter((signal) => signal !== undefined);
}

/** Every warning that a run's curves gave on their way, the first of each reason. */
export function signalsThrough(entries: readonly Entry[], chosenTokens: number): Signal[] {
  const found = new Map<string, Signal>();
  entries.forEach(({ kind }, i) => {
    // Of training steps the last ones are enough, and there may be many.
    const from = kind === 'train' ? Math.max(0, i + 1 - 2 * runawaySteps) : 0;
    for (const signal of signalsOf(entries.slice(from, i + 1), chosenTokens)) {
      if (!found.has(signal.reason)) found.set(signal.reason, signal);
    }
  });
  return [...found.values()];
}
