import { readFileSync } from 'node:fs';
import { syncOf } from '../../crds/reference.ts';
import { loadPairs } from '../../trainer-image/data/load.ts';
import type { Pair } from '../../trainer-image/data/pair.ts';
import { loadTokenizer } from '../../trainer-image/data/tokenizer.ts';
import type { PairOutcome } from '../../trainer-image/loss/objective.ts';
import { eager, setEager } from '../../trainer-image/engine/engine.ts';
import type { PairLogProbs } from '../../trainer-image/loss/scores.ts';
import { splitPairs } from '../../trainer-image/model/groups.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { LiveReference } from '../../trainer-image/reference/live.ts';
import { learningRateAt } from '../../trainer-image/optimizer/schedule.ts';
import { accumulate, goldenFolder, trainingOf } from '../trainer-image/golden.ts';
import { aloneSettings, type AloneCase } from '../trainer-image/loss/trl.ts';
import { mean, type Compared, type Parts } from './compared.ts';

type Log = Record<string, number>;

/** A training run of TRL's: pairs in the file's order, four a step, with the figures that it logged of every step. */
export interface TrlRun {
  init: string;
  args: {
    learning_rate: number;
    beta: number;
    weight_decay: number;
    max_grad_norm: number;
    max_steps: number;
    warmup_steps: number;
    lr_scheduler_type: 'linear' | 'cosine';
    loss_type?: string;
    cpo_alpha?: number;
    simpo_gamma?: number;
    ref_model_sync_steps?: number;
  };
  /** float32 unless given. */
  precision?: 'bf16';
  /** Not DPOTrainer: one without a reference. */
  trainer?: AloneCase['trainer'];
  logs: Log[];
}

const read = (file: string): unknown => JSON.parse(readFileSync(`${goldenFolder}/${file}`, 'utf8'));

/** Runs of 20 steps by the model that they start from and are compared with. */
export const traces = {
  tiny: read('trace.json') as Record<string, TrlRun>,
  'tiny-gpt2': read('trace-gpt2.json') as Record<string, TrlRun>,
};
/** The run of 200 steps, on 800 pairs: made by test/python/trl_run.py. */
export const longRun = read('run-200.json') as TrlRun & { versions: Record<string, string> };

/** Pairs of the data that TRL's runs had; `jsonl` is a file's path. */
export async function goldenRows(jsonl: string): Promise<Pair[]> {
  const columns = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };
  const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`);
  const { train } = await loadPairs(jsonl, tokenizer, { columns, maxLength: 512, holdout: 0 });
  return [...train];
}

const figures: Record<string, (outcome: PairOutcome) => number> = {
  loss: ({ loss }) => loss,
  'rewards/chosen': ({ rewards }) => rewards.chosen,
  'rewards/rejected': ({ rewards }) => rewards.rejected,
  'rewards/margins': ({ rewards }) => rewards.chosen - rewards.rejected,
  'logps/chosen': ({ logProbs: sums }) => sums.chosen,
  'logps/rejected': ({ logProbs: sums }) => sums.rejected,
};
/** Where TRL's losses take means over tokens, so do its logps; here they are always sums, and the rewards tell the same. */
const comparedOf = (run: TrlRun): string[] => {
  const means = run.trainer === 'orpo' || (run.trainer === 'cpo' && run.args.loss_type === 'simpo');
  const names = [...Object.keys(figures), 'grad_norm', 'learning_rate'];
  return means ? names.filter((name) => !name.startsWith('logps/')) : names;
};

const lossOf = ({ trainer, args }: TrlRun): object =>
  trainer === undefined
    ? { beta: args.beta, loss: [{ type: args.loss_type ?? 'sigmoid' }] }
    : aloneSettings({ trainer, args });

/** The settings of TRL's run as a DPOJob has them. */
function settingsOf(run: TrlRun) {
  const { args } = run;
  const precision = run.precision ?? 'fp32';
  const settings = { precision, weightDecay: args.weight_decay, maxGradNorm: args.max_grad_norm };
  const training = trainingOf({ ...settings, ...lossOf(run) });
  const { lr_scheduler_type: schedule, learning_rate: learningRate, max_steps: total } = args;
  const rateAt = (step: number): number =>
    learningRateAt(step, total, { schedule, learningRate, warmup: args.warmup_steps / total });
  return { training, rateAt };
}

/** How the pairs of a run of TRL's are trained on here. */
interface Course {
  reference: string;
  pairs: readonly Pair[];
  microBatchTokens: number;
}

/** Log-probabilities of pairs under a run's reference, and what it does after each step. */
interface Base {
  logProbs: (pairs: readonly Pair[]) => readonly PairLogProbs[] | undefined;
  stepTaken: (step: number) => void;
}

function baseOf(run: TrlRun, folder: string, policy: Learner): Base {
  if (run.trainer !== undefined) return { logProbs: () => undefined, stepTaken: () => {} };
  const reference = new Learner(`${goldenFolder}/${folder}`, policy.training);
  const sync = syncOf({ precompute: false, syncSteps: run.args.ref_model_sync_steps });
  const live = new LiveReference(reference, policy, sync);
  return { logProbs: (pairs) => live.logProbs(pairs, () => {}), stepTaken: (step) => live.stepTaken(step) };
}

/** Our own run: what it would log. Blocks run as the trainer chooses for a model of few layers. */
export function follow(run: TrlRun, course: Course): Log[] {
  const before = eager();
  setEager(true);
  try {
    return steps(run, course);
  } finally {
    setEager(before);
  }
}

function steps(run: TrlRun, { reference: folder, pairs, microBatchTokens }: Course): Log[] {
  const { training, rateAt } = settingsOf(run);
  const policy = new Learner(`${goldenFolder}/${run.init}`, training);
  policy.startStage();
  const base = baseOf(run, folder, policy);
  return run.logs.map((_, step) => {
    const batch = pairs.slice(4 * step, 4 * step + 4);
    const outcomes = splitPairs(batch, microBatchTokens).flatMap((part) =>
      accumulate(policy, part, base.logProbs(part), batch),
    );
    const learningRate = rateAt(step);
    const log: Log = { learning_rate: learningRate, grad_norm: policy.update(step + 1, learningRate) };
    base.stepTaken(step + 1);
    for (const [name, figure] of Object.entries(figures)) log[name] = mean(outcomes.map(figure));
    log['rewards/accuracies'] = mean(outcomes.map(({ rewards }) => Number(rewards.chosen > rewards.rejected)));
    return log;
  });
}

const deviation = (values: number[]): number => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));
const valuesOf = (logs: readonly Log[], name: string): number[] => logs.map((log) => log[name] as number);

/** Means of each window of `size` steps. */
const windows = (values: readonly number[], size: number): number[] =>
  Array.from({ length: values.length / size }, (_, i) => mean(values.slice(i * size, (i + 1) * size)));

/**
 * A run beside TRL's: each figure within 0.01 of its value or of its spread over the run, whichever is more, in windows of
 * `size` steps.
 */
function compareLogs(own: readonly Log[], run: TrlRun, size: number): Parts {
  const { logs } = run;
  const parts: Parts = {};
  for (const name of comparedOf(run)) {
    const theirs = valuesOf(logs, name);
    const spread = deviation(theirs);
    const means = windows(valuesOf(own, name), size);
    parts[name] = windows(theirs, size).map((value, i): Compared => {
      const tolerance = 0.01 * Math.max(Math.abs(value), spread) + 1e-12;
      return {
        what: size === 1 ? `step ${i + 1}` : `steps ${i * size + 1} to ${(i + 1) * size}`,
        own: means[i] as number,
        theirs: value,
        tolerance,
      };
    });
  }
  // The first step, where all margins are 0, says nothing. Later a margin near zero counts as either: one pair of four.
  const accuracies = [own, logs].map((each) => valuesOf(each, 'rewards/accuracies'));
  const [ours = [], theirs = []] = accuracies;
  parts['rewards/accuracies'] = theirs.slice(1).map((value, i) => {
    return { what: `step ${i + 2}`, own: ours[i + 1] as number, theirs: value, tolerance: 0.25 };
  });
  return parts;
}

/** A run of 20 steps, step by step. */
export const shortRun = (run: TrlRun, reference: string, pairs: readonly Pair[]): Parts =>
  compareLogs(follow(run, { reference, pairs, microBatchTokens: 200 }), run, 1);
export const trace = (model: keyof typeof traces, name: string, pairs: readonly Pair[]): Parts =>
  shortRun(traces[model][name] as TrlRun, model, pairs);

/** The run of 200 steps, in means of 10. */
export const longTrace = (pairs: readonly Pair[]): Parts =>
  compareLogs(follow(longRun, { reference: 'tiny', pairs, microBatchTokens: 1024 }), longRun, 10);
