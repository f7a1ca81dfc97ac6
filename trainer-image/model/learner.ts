import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { groupTokens, layOut, microBatches, type Group, type Layout } from '../data/layout.ts';
import type { Example, Pair } from '../data/pair.ts';
import { free, keep, ops, read, scope, tensor, type Tensor, type Variable } from '../engine/engine.ts';
import { losses, type LossType } from '../loss/losses.ts';
import { adamW, createMoments, type Moments } from '../optimizer/adamw.ts';
import { clip, globalNorm } from '../optimizer/clip.ts';
import { headHidden, headKl, headLogProbs, preferenceHead, sftHead } from './head.ts';
import { Network } from './network.ts';
import type { NamedTensor } from './safetensors.ts';

export type Training = DPOJobSpec['training'];

/** Summed log-probabilities of a pair's answers. */
export interface PairLogProbs {
  chosen: number;
  rejected: number;
}

/** What one pair gave. Rewards are beta times the log-ratios against the reference (Rafailov et al. 2023, sec. 4). */
export interface PairOutcome {
  loss: number;
  logProbs: PairLogProbs;
  rewards: PairLogProbs;
}

/** A part of the state that checkpoints hold, in a fixed order under a fixed name. */
export interface StateTensor {
  name: string;
  shape: readonly number[];
  read: () => Float32Array;
}

/** Positions of one head call at once: bounds [positions, vocabulary] logits. */
const headRows = 700;

const pairGroup = (pair: Pair): Group => ({ prompt: pair.prompt, completions: [pair.chosen, pair.rejected] });
const exampleGroup = (example: Example): Group => ({ prompt: example.prompt, completions: [example.completion] });

/** Tokens that a pair or an example costs: the prompt counts once. */
export const pairTokens = (pair: Pair): number => groupTokens(pairGroup(pair));
export const exampleTokens = (example: Example): number => groupTokens(exampleGroup(example));

/** Splits an optimizer batch by the token budget `training.microBatchTokens`. */
export function splitPairs(pairs: readonly Pair[], budget: number): Pair[][] {
  return microBatches(pairs, pairTokens, budget);
}
export function splitExamples(examples: readonly Example[], budget: number): Example[][] {
  return microBatches(examples, exampleTokens, budget);
}

/**
 * The policy with its optimizer: everything that touches TensorFlow. Gradients of micro-batches add up until `update`;
 * they are normalised over the whole optimizer batch, so that any split gives the same step.
 */
export class Learner {
  readonly network: Network;
  private readonly training: Training;
  private moments = new Map<string, Moments>();
  private gradients = new Map<string, Tensor>();
  /** Hidden states of the reference at held-out answers, by pair, and its projection: kept for exact KL. */
  private reference: { projection: Tensor; hidden: Map<number, Tensor> } | undefined;

  /** Loads a checkpoint folder. Throws InvalidConfiguration for one that cannot be used. */
  constructor(folder: string, training: Training) {
    this.network = new Network(folder);
    this.training = training;
  }

  get parameterCount(): number {
    return this.network.variables.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  }

  /** Begins a stage: the optimizer starts anew. */
  startStage(): void {
    for (const { m, v } of this.moments.values()) [m, v].forEach((variable) => variable.dispose());
    this.moments = new Map(this.network.variables.map((weight) => [weight.name, createMoments(weight)]));
  }

  /** Log-probabilities of each pair's answers under the present weights. */
  logProbs(pairs: readonly Pair[]): PairLogProbs[] {
    const layout = layOut(pairs.map(pairGroup), headRows);
    return scope(() => {
      const { output, weights } = this.network.forward(layout);
      return layout.heads.flatMap((head) => {
        const count = head.to - head.from;
        const values = scope(() => read(headLogProbs(head, 2 * count, output, weights)));
        return Array.from({ length: count }, (_, i) => ({
          chosen: values[i] as number,
          rejected: values[count + i] as number,
        }));
      });
    });
  }

  /** Adds the gradient of these pairs' mean loss over `totalPairs`; `reference` in the order of `pairs`. */
  accumulatePreference(pairs: readonly Pair[], reference: readonly PairLogProbs[], totalPairs: number): PairOutcome[] {
    const layout = layOut(pairs.map(pairGroup), headRows);
    return scope(() => {
      const outcomes: PairOutcome[] = [];
      this.backpropagate(layout, (head, output, weights) => {
        const terms = this.terms(reference.slice(head.from, head.to), totalPairs);
        const [loss, logProbs, ...gradients] = preferenceHead(head, output, weights, terms) as [
          Tensor,
          Tensor,
          ...Tensor[],
        ];
        outcomes.push(...this.outcomes(read(loss), read(logProbs), reference.slice(head.from, head.to)));
        return gradients;
      });
      return outcomes;
    });
  }

  /** Loss and rewards of these pairs, without gradients. */
  evaluatePreference(pairs: readonly Pair[], reference: readonly PairLogProbs[]): PairOutcome[] {
    const own = this.logProbs(pairs);
    return scope(() => {
      const column = (values: number[]): Tensor => tensor(Float32Array.from(values), [values.length, 1]);
      const ratio = (side: keyof PairLogProbs): Tensor =>
        column(own.map((logProbs, i) => logProbs[side] - (reference[i] as PairLogProbs)[side]));
      const beta = tensor(Float32Array.of(this.training.beta), []);
      const { pairLoss } = losses[this.lossType()];
      const loss = read(pairLoss({ chosen: ratio('chosen'), rejected: ratio('rejected') }, beta).loss);
      return own.map((logProbs, i) => this.outcome(loss[i] as number, logProbs, reference[i] as PairLogProbs));
    });
  }

  /** Adds the gradient of these examples' cross-entropy over `totalTokens` answer tokens; returns its sum over tokens. */
  accumulateSft(examples: readonly Example[], totalTokens: number): number {
    const layout = layOut(examples.map(exampleGroup), headRows);
    return scope(() => {
      let sum = 0;
      this.backpropagate(layout, (head, output, weights) => {
        const scale = tensor(Float32Array.of(1 / totalTokens), []);
        const [loss, ...gradients] = sftHead(head, output, weights, scale) as [Tensor, ...Tensor[]];
        sum += read(loss)[0] as number;
        return gradients;
      });
      return sum;
    });
  }

  /**
   * Clips the gradients and takes an AdamW step. `step` counts from 1 in its stage. Returns the norm before clipping; when
   * it is not finite no weight is changed.
   */
  update(step: number, learningRate: number): number {
    return scope(() => {
      const norm = globalNorm([...this.gradients.values()]);
      if (Number.isFinite(norm)) {
        clip(this.gradients, norm, this.training.maxGradNorm);
        const { epsilon, weightDecay } = this.training;
        const betas = this.training.betas as [number, number];
        const settings = { betas, epsilon, weightDecay, step, learningRate };
        for (const weight of this.network.variables) {
          const gradient = this.gradients.get(weight.name) as Tensor;
          adamW(weight, this.moments.get(weight.name) as Moments, gradient, settings);
        }
      }
      this.dropGradients();
      return norm;
    });
  }

  /** Forgets gradients that have been added so far: a step that was stopped in its middle is done again whole. */
  dropGradients(): void {
    free(...this.gradients.values());
    this.gradients.clear();
  }

  /** The gradient added so far of each weight. For tests and reports. */
  readGradients(): NamedTensor[] {
    return [...this.gradients].map(([name, gradient]) => ({ name, shape: gradient.shape, data: floats(gradient) }));
  }

  /** Keeps what exact KL against the present weights needs for these pairs. */
  captureReference(pairs: readonly Pair[]): void {
    scope(() => {
      const weights = this.network.readHead();
      // A copy: a read shares the variable's buffer and would change with it.
      this.reference ??= { projection: keep(ops.add(weights.projection, ops.scalar(0))), hidden: new Map() };
      for (const pair of pairs) {
        const layout = layOut([pairGroup(pair)], Infinity);
        const { output, weights: head } = this.network.forward(layout);
        this.reference.hidden.set(pair.row, keep(headHidden(layout.heads[0]!, output, head)));
      }
    });
  }

  /** Sum of KL(policy || reference) over the answer positions of captured pairs, and the number of positions. */
  kl(pairs: readonly Pair[]): { sum: number; positions: number } {
    let [sum, positions] = [0, 0];
    for (const pair of pairs) {
      const hidden = this.reference?.hidden.get(pair.row);
      if (hidden === undefined) throw new Error(`row ${pair.row} was not captured for the reference`);
      const layout = layOut([pairGroup(pair)], Infinity);
      const head = layout.heads[0]!;
      sum += scope(() => {
        const { output, weights } = this.network.forward(layout);
        const projection = (this.reference as { projection: Tensor }).projection;
        return read(headKl(head, output, weights, { hidden, projection }))[0] as number;
      });
      positions += head.rows.length;
    }
    return { sum, positions };
  }

  /** Weights under their Hugging Face names and in their layout. */
  weights(): StateTensor[] {
    return this.network.variables.map(asState);
  }

  /** Weights and optimizer moments: all that an exact resume needs from here. */
  state(): StateTensor[] {
    const moments = [...this.moments.values()].flatMap(({ m, v }) => [m, v]);
    return [...this.weights(), ...moments.map(asState)];
  }

  /** Sets weights, and moments where a stage has begun, to saved values. */
  restore(saved: (name: string, shape: readonly number[]) => Float32Array): void {
    const moments = [...this.moments.values()].flatMap(({ m, v }) => [m, v]);
    for (const variable of [...this.network.variables, ...moments]) {
      scope(() => variable.assign(tensor(saved(variable.name, variable.shape), variable.shape)));
    }
  }

  private lossType(): LossType {
    return (this.training.loss[0] as { type: LossType }).type;
  }

  private terms(reference: readonly PairLogProbs[], totalPairs: number) {
    const values = [...reference.map((pair) => pair.chosen), ...reference.map((pair) => pair.rejected)];
    const lossType = this.lossType();
    const scalar = (value: number): Tensor => tensor(Float32Array.of(value), []);
    return {
      reference: tensor(Float32Array.from(values), [values.length, 1]),
      beta: scalar(this.training.beta),
      scale: scalar(1 / totalPairs),
      lossType,
      pairLoss: losses[lossType].pairLoss,
    };
  }

  private outcomes(
    loss: ArrayLike<number>,
    values: ArrayLike<number>,
    reference: readonly PairLogProbs[],
  ): PairOutcome[] {
    const pairs = reference.length;
    return reference.map((pair, i) => {
      const logProbs = { chosen: values[i] as number, rejected: values[pairs + i] as number };
      return this.outcome(loss[i] as number, logProbs, pair);
    });
  }

  private outcome(loss: number, logProbs: PairLogProbs, reference: PairLogProbs): PairOutcome {
    const reward = (side: keyof PairLogProbs): number => this.training.beta * (logProbs[side] - reference[side]);
    return { loss, logProbs, rewards: { chosen: reward('chosen'), rejected: reward('rejected') } };
  }

  private backpropagate(layout: Layout, head: Parameters<Network['backpropagate']>[1]): void {
    this.network.backpropagate(layout, head, (name, gradient) => {
      const before = this.gradients.get(name);
      this.gradients.set(name, keep(before === undefined ? gradient : ops.add(before, gradient)));
      if (before !== undefined) free(before, gradient);
    });
  }
}

const asState = (variable: Variable): StateTensor => ({
  name: variable.name,
  shape: variable.shape,
  read: () => scope(() => floats(variable.read())),
});

const floats = (value: Tensor): Float32Array => read(value) as Float32Array;
