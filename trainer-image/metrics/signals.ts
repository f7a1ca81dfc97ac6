import type { Metrics } from '../../crds/progress.ts';
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

/** What holds the policy nearer to where it began, as an imperative. */
interface Advice {
  beta: string;
}

/** Sees the entries of a run in their order, and says what the curves warn of as of each. */
interface Watcher {
  see: (entry: Entry) => Signal | undefined;
}

/** Every pair of the last steps is won by far: nothing is left to learn from them, and the policy moves on. */
class MarginRunaway implements Watcher {
  private readonly last: Metrics[] = [];
  private readonly advice: string;

  constructor({ beta }: Advice) {
    this.advice = beta;
  }

  see({ kind, metrics }: Entry): Signal | undefined {
    if (kind !== 'train') return undefined;
    this.last.push(metrics);
    if (this.last.length > runawaySteps) this.last.shift();
    const margin = mean(this.last.map(({ rewardMargin }) => rewardMargin ?? 0));
    const won = this.last.every(({ rewardAccuracy }) => rewardAccuracy === 1);
    if (this.last.length < runawaySteps || !won || margin <= bounds.margin) return undefined;
    const message = `the reward margin is ${digits(margin)} over the last ${runawaySteps} steps with every pair won: train fewer epochs or on more data, or ${this.advice}`;
    return { reason: 'MarginRunaway', message };
  }
}

/** A mean that numbers are added to one by one. */
class Mean {
  count = 0;
  private sum = 0;

  add(value: number): void {
    this.count += 1;
    this.sum += value;
  }

  get value(): number {
    return this.sum / this.count;
  }
}

/** Held-out loss over its least value while the training loss went on falling: what is learnt holds for these pairs only. */
class HeldOutLossRising implements Watcher {
  private readonly advice: string;
  private readonly losses: number[] = [];
  private least: { step: number; value: number; losses: number } | undefined;
  private now: number | undefined;
  /** Training losses after the least value, and as many before it, the latest first. */
  private since = new Mean();
  private before = new Mean();

  see({ kind, step, metrics: { loss, evalLoss } }: Entry): Signal | undefined {
    if (kind === 'train') {
      if (loss !== undefined) this.addLoss(loss);
      return undefined;
    }
    if (evalLoss !== undefined) this.addHeldOut(step, evalLoss);
    return this.signal();
  }

  constructor({ beta }: Advice) {
    this.advice = beta;
  }

  private addLoss(loss: number): void {
    this.losses.push(loss);
    if (this.least === undefined) return;
    this.since.add(loss);
    // The first step stands for what was before, where the least value is that before training.
    const last = Math.max(1, this.least.losses);
    if (this.before.count < last) this.before.add(this.losses[last - 1 - this.before.count] as number);
  }

  private addHeldOut(step: number, value: number): void {
    this.now = value;
    if (this.least !== undefined && value >= this.least.value) return;
    this.least = { step, value, losses: this.losses.length };
    [this.since, this.before] = [new Mean(), new Mean()];
  }

  private signal(): Signal | undefined {
    const { least, now, since, before } = this;
    if (least === undefined || now === undefined || now - least.value <= bounds.risenLoss) return undefined;
    if (since.count === 0 || since.value >= before.value) return undefined;
    const message = `held-out loss rose from ${digits(least.value)} (step ${least.step}) to ${digits(now)} while the training loss fell: train fewer steps, set evaluation.earlyStopping or ${this.advice}`;
    return { reason: 'HeldOutLossRising', message };
  }
}

/** Likelihood displacement (Razin et al. 2024): the chosen answers themselves become unlikely. */
class LikelihoodDisplacement implements Watcher {
  /** Mean length of the held-out chosen answers. */
  private readonly chosenTokens: number;
  private readonly advice: string;
  private start: { step: number; value: number } | undefined;
  private now = 0;

  constructor(chosenTokens: number, { beta }: Advice) {
    this.chosenTokens = chosenTokens;
    this.advice = beta;
  }

  see({ kind, step, metrics: { evalLogpsChosen: value } }: Entry): Signal | undefined {
    if (kind === 'train') return undefined;
    if (value !== undefined) {
      this.start ??= { step, value };
      this.now = value;
    }
    const { start, now } = this;
    if (start === undefined || now - start.value >= -bounds.fallenShare * Math.abs(start.value)) return undefined;
    const perToken = (sum: number): string => digits(sum / this.chosenTokens);
    const message = `held-out chosen answers fell from ${perToken(start.value)} to ${perToken(now)} in log-probability per token since step ${start.step}: ${this.advice}, or fine-tune on them first (sft)`;
    return { reason: 'LikelihoodDisplacement', message };
  }
}

/** What the curves of a run warn of; an entry costs the same however many were before it. */
export class Signals {
  /** Every warning so far, the first of each reason. */
  readonly found = new Map<Signal['reason'], Signal>();
  private readonly watchers: readonly Watcher[];

  /** `chosenTokens`: mean length of the held-out chosen answers; `holds`: whether a higher beta holds the policy (not ORPO's). */
  constructor(chosenTokens: number, holds = true) {
    const advice: Advice = { beta: `${holds ? 'raise' : 'lower'} training.beta` };
    this.watchers = [
      new MarginRunaway(advice),
      new HeldOutLossRising(advice),
      new LikelihoodDisplacement(chosenTokens, advice),
    ];
  }

  /** Takes the next entry; returns what the curves warn of as of it. */
  see(entry: Entry): Signal[] {
    const signals = this.watchers.map((watcher) => watcher.see(entry)).filter((signal) => signal !== undefined);
    for (const signal of signals) if (!this.found.has(signal.reason)) this.found.set(signal.reason, signal);
    return signals;
  }
}
