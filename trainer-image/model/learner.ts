import type { DPOJobSpec } from '../../crds/dpojob.ts';
import type { HeadRows, Layout } from '../data/layout.ts';
import type { Example, Pair } from '../data/pair.ts';
import { precisionOf } from '../engine/compute-plan.ts';
import { read, scope, tensor, usesGpu, type Tensor, type Variable } from '../engine/engine.ts';
import type { PairOutcome } from '../loss/objective.ts';
import { tokenSlopes, type PairScores, type PairTokens } from '../loss/scores.ts';
import { clipScale, globalNorm } from '../optimizer/clip.ts';
import { createOptimizer, type Optimizer } from '../optimizer/optimizers.ts';
import { mergedValues } from './adapters.ts';
import { joinPairs, scoresOf, splitByPair } from './answers.ts';
import { Gradients } from './gradients.ts';
import { layOutExamples, layOutPairs } from './groups.ts';
import { headBackward, headForward, rowValues, type RowValues } from './head.ts';
import { HeldOutKl } from './held-out-kl.ts';
import { Network, numbersOf } from './network.ts';
import type { NamedTensor } from './safetensors.ts';

export type Training = DPOJobSpec['training'];

/** A part of the state that checkpoints hold, in a fixed order under a fixed name. */
export interface StateTensor {
  name: string;
  shape: readonly number[];
  read: () => Float32Array;
}

/** Saved values of a tensor by its name. */
export type SavedValues = (name: string, shape: readonly number[]) => Float32Array;

interface LoadOptions {
  /** A folder as PEFT writes it. */
  adapter?: string | undefined;
  beat?: () => void;
}

/** Gives the loss of some pairs of a micro-batch, the first of which is its pair `from`. */
export type LossOf = (scores: readonly PairScores[], from: number) => readonly PairOutcome[];

/**
 * The policy with its optimizer: everything that touches TensorFlow. Gradients of micro-batches add up until `update`;
 * they are normalised over the whole optimizer batch, so that any split gives the same step.
 */
export class Learner {
  readonly network: Network;
  /** KL of held-out answers against the weights at the start of the preference stage. */
  readonly heldOutKl: HeldOutKl;
  /** Settings of the present stage. */
  training: Training;
  private optimizer: Optimizer | undefined;
  private readonly gradients = new Gradients();
  /** Micro-batches that the present step has taken: each has dropout masks of its own. */
  private microBatch = 0;
  private step = 0;

  /**
   * Loads a checkpoint folder, and PEFT's folder of an adapter for it if one is given; `beat` after each weight. Throws
   * InvalidConfiguration for one that cannot be used.
   */
  constructor(folder: string, training: Training, { adapter, beat }: LoadOptions = {}) {
    const { lora, seed, gradientCheckpointing } = training;
    const precision = precisionOf(training.precision, usesGpu());
    const start = lora && { settings: lora, seed, folder: adapter };
    this.network = new Network(folder, { lora: start, precision, gradientCheckpointing, beat });
    this.heldOutKl = new HeldOutKl(this.network);
    this.training = training;
  }

  get parameterCount(): number {
    return numbersOf(this.network.variables);
  }

  /** Numbers that training changes. */
  get trainedCount(): number {
    return numbersOf(this.network.trained);
  }

  /** Begins a stage, with other settings if given: the optimizer starts anew. */
  startStage(training = this.training): void {
    this.training = training;
    this.optimizer?.dispose();
    this.optimizer = createOptimizer(this.network.trained, this.training);
  }

  /** Begins the optimizer step `step` (counted from 0): what is random in it depends on the seed and this number alone. */
  beginStep(step: number): void {
    this.step = step;
    this.microBatch = 0;
  }

  /** Log-probability of every token of each pair's answers under the present weights. */
  tokenLogProbs(pairs: readonly Pair[]): PairTokens[] {
    return this.forward(layOutPairs(pairs), false, (head, { logProbs }) => splitByPair(head, logProbs));
  }

  /** Sum of the log-probabilities of these examples' answer tokens under the present weights. */
  exampleLogProb(examples: readonly Example[]): number {
    const sums = this.forward(layOutExamples(examples), false, (_, { logProbs }) => [
      logProbs.reduce((sum, value) => sum + value, 0),
    ]);
    return sums.reduce((sum, value) => sum + value, 0);
  }

  /** What a loss knows of these pairs under the present weights. */
  scorePairs(pairs: readonly Pair[]): PairScores[] {
    const { ldAlpha, useWeighting } = this.training;
    return this.forward(layOutPairs(pairs), useWeighting, (head, values) => scoresOf(head, values, ldAlpha));
  }

  /** Adds the gradient of a micro-batch's share in the loss; returns what `lossOf` gave. */
  accumulatePreference(pairs: readonly Pair[], lossOf: LossOf): PairOutcome[] {
    const { ldAlpha, useWeighting } = this.training;
    const outcomes: PairOutcome[] = [];
    this.backpropagate(layOutPairs(pairs), useWeighting, (head, values) => {
      const found = lossOf(scoresOf(head, values, ldAlpha), head.from);
      outcomes.push(...found);
      return joinPairs(found.map((outcome) => tokenSlopes(outcome.slopes, outcome, ldAlpha)));
    });
    return outcomes;
  }

  /** Adds the gradient of these examples' cross-entropy over `totalTokens` answer tokens; returns its sum over tokens. */
  accumulateSft(examples: readonly Example[], totalTokens: number): number {
    let sum = 0;
    this.backpropagate(layOutExamples(examples), false, (_, { logProbs }) => {
      for (const value of logProbs) sum -= value;
      return new Float32Array(logProbs.length).fill(-1 / totalTokens);
    });
    return sum;
  }

  /**
   * Clips the gradients and takes an optimizer step. `step` counts from 1 in its stage. Returns the norm before clipping; when
   * it is not finite no weight is changed.
   */
  update(step: number, learningRate: number): number {
    return scope(() => {
      const norm = globalNorm([...this.gradients.values()]);
      if (Number.isFinite(norm)) {
        const gradientScale = clipScale(norm, this.training.maxGradNorm);
        this.optimizer?.step(this.gradients, { step, learningRate, gradientScale });
      }
      this.dropGradients();
      return norm;
    });
  }

  /** Forgets gradients that have been added so far: a step that was stopped in its middle is done again whole. */
  dropGradients(): void {
    this.gradients.drop();
  }

  /** The gradient added so far of each weight. For tests and reports. */
  readGradients(): NamedTensor[] {
    return this.gradients.readAll();
  }

  /** What training changes: every weight under its Hugging Face name and in its layout, or the adapters. */
  weights(): StateTensor[] {
    return this.network.trained.map(asState);
  }

  /** Every weight of the model, with the adapters' changes in it: what a folder without adapters holds. */
  mergedWeights(): StateTensor[] {
    const { architecture, variables, trained } = this.network;
    const adapters = new Map(trained.map((variable) => [variable.name, variable]));
    const read = (variable: Variable) => (): Float32Array => mergedValues(architecture, variable, adapters);
    return variables.map((variable) => ({ ...asState(variable), read: read(variable) }));
  }

  /** Weights and the optimizer's state: all that an exact resume needs from here. */
  state(): StateTensor[] {
    return [...this.weights(), ...(this.optimizer?.variables ?? []).map(asState)];
  }

  /** Sets weights, and the optimizer's state where a stage has begun, to saved values. */
  restore(saved: SavedValues): void {
    [...this.network.trained, ...(this.optimizer?.variables ?? [])].forEach((variable) => assign(variable, saved));
  }

  /** Sets the weights alone to saved values. */
  restoreWeights(saved: SavedValues): void {
    this.network.trained.forEach((variable) => assign(variable, saved));
  }

  /** What `of` makes of each head call's rows. */
  private forward<T>(layout: Layout, squares: boolean, of: (head: HeadRows, values: RowValues) => T[]): T[] {
    return scope(() => {
      const { output, weights } = this.network.forward(layout);
      return layout.heads.flatMap((head) =>
        scope(() => of(head, rowValues(headForward(head, output, weights, squares)))),
      );
    });
  }

  /** `slopesOf`: a head call's rows -> the loss's derivative by each row's log-probability. */
  private backpropagate(
    layout: Layout,
    squares: boolean,
    slopesOf: (head: HeadRows, values: RowValues) => Float32Array,
  ): void {
    const seed = maskSeed(this.training.seed, this.step, this.microBatch++);
    scope(() =>
      this.network.backpropagate(
        layout,
        (head, x, weights) => {
          const forward = headForward(head, x, weights, squares);
          return headBackward(head, { ...weights, x }, forward, slopesOf(head, rowValues(forward)));
        },
        this.gradients,
        seed,
      ),
    );
  }
}

/** A 32-bit number for the masks of one micro-batch. */
const maskSeed = (seed: number, step: number, microBatch: number): number =>
  Math.imul(Math.imul(seed ^ 0x9e3779b9, 0x01000193) ^ step, 0x01000193) ^ microBatch;

const asState = (variable: Variable): StateTensor => ({
  name: variable.name,
  shape: variable.shape,
  read: () => scope(() => floats(variable.read())),
});

function assign(variable: Variable, saved: SavedValues): void {
  scope(() => variable.assign(tensor(saved(variable.name, variable.shape), variable.shape)));
}

const floats = (value: Tensor): Float32Array => read(value) as Float32Array;
