import type { Product, Tensor } from '../engine/engine.ts';
import { sumOf, type Precision } from './products.ts';

/** The gradient of one input: given, a product that is added up with the others, computed only when something asks for it, or none. */
export type InputGradient = Tensor | Product | (() => Tensor) | undefined;

/** How the dense layers of a block apply their adapters. */
export interface AdapterUse {
  /** What an adapter's product is multiplied by. */
  scaling: number;
  /** Share of an adapter's inputs that are dropped, and the seed [2] (int32) of this call's masks; undefined: none. */
  dropout: { rate: number; seed: Tensor } | undefined;
}

/** One primitive's call: what came of it and how its gradient flows back. */
interface Step {
  output: Tensor;
  inputs: readonly Tensor[];
  /** Tensors that `backward` reads: some of the inputs or the output. */
  needs: readonly Tensor[];
  /** Of each of `needs` the input whose gradient alone reads it: where that is not wanted, it is not. */
  needsOnlyFor?: readonly Tensor[];
  /**
   * Costly to compute again (a matrix product): kept from the forward pass when something needs it. 'most': several times as
   * costly for its size (attention): what a block keeps first where there is not room for all.
   */
  costly: boolean | 'most';
  /** Gradient of the output -> gradient of each input, in their order; undefined where an input has none. */
  backward: (gradient: Tensor) => readonly InputGradient[];
}

/** What a block keeps of its forward. */
export interface SavedStep {
  /** Its number among the block's steps. */
  step: number;
  output: Tensor;
  /** Whether it is kept before all others. */
  first: boolean;
}

export const outputsOf = (saved: readonly SavedStep[]): Tensor[] => saved.map(({ output }) => output);

export interface Primitive extends Omit<Step, 'output'> {
  compute: () => Tensor;
}

/**
 * Notes the primitives of one block, from which its backward is derived.
 *
 * Forward: everything is computed; `saved` are the costly values that the backward will read, found by following
 * `needs` back through the cheap ones. Backward: the block is run again with the saved values in their places, so that
 * only cheap values are computed twice (TensorFlow drops what nothing uses), then the gradients flow back.
 */
export class Tape {
  private readonly steps: Step[] = [];
  private readonly given: ReadonlyMap<number, Tensor>;
  readonly adapters: AdapterUse | undefined;
  readonly precision: Precision;
  private masks = 0;

  /** `given`: step number -> its output, saved by the forward pass. */
  constructor(precision: Precision, given: ReadonlyMap<number, Tensor> = new Map(), adapters?: AdapterUse) {
    this.precision = precision;
    this.given = given;
    this.adapters = adapters;
  }

  /** A number for each dropout mask of the block, the same in its forward and its backward. */
  nextMask(): number {
    return this.masks++;
  }

  run({ compute, ...step }: Primitive): Tensor {
    const output = this.given.get(this.steps.length) ?? compute();
    this.steps.push({ ...step, output });
    return output;
  }

  /** The steps to be kept for the gradients of `wanted`, in their order. */
  saved(wanted: readonly Tensor[]): SavedStep[] {
    const onTheWay = this.influencedBy(wanted);
    const maker = new Map(this.steps.map((step, number) => [step.output, number]));
    const kept = new Set<number>();
    const visit = (needed: Tensor): void => {
      const number = maker.get(needed);
      if (number === undefined || kept.has(number)) return;
      const step = this.steps[number] as Step;
      if (step.costly !== false) kept.add(number);
      else step.inputs.forEach(visit);
    };
    for (const { output, needs, needsOnlyFor } of this.steps) {
      const read = needs.filter((_, i) => onTheWay.has(needsOnlyFor?.[i] ?? output));
      if (onTheWay.has(output)) read.forEach(visit);
    }
    return this.steps.flatMap(({ output, costly }, step) =>
      kept.has(step) ? [{ step, output, first: costly === 'most' }] : [],
    );
  }

  /** Gradients of `wanted` when the block's output has the given gradient. Throws when one has no influence on it. */
  gradients(output: Tensor, gradient: Tensor, wanted: readonly Tensor[]): Tensor[] {
    const onTheWay = this.influencedBy(wanted);
    const parts = new Map<Tensor, (Tensor | Product)[]>([[output, [gradient]]]);
    for (const step of this.steps.toReversed()) {
      const incoming = parts.get(step.output);
      if (incoming === undefined || !onTheWay.has(step.output)) continue;
      step.backward(sumOf(this.precision, incoming)).forEach((part, i) => {
        const input = step.inputs[i] as Tensor;
        if (part === undefined || !onTheWay.has(input)) return;
        parts.set(input, [...(parts.get(input) ?? []), typeof part === 'function' ? part() : part]);
      });
    }
    return wanted.map((tensor) => {
      const found = parts.get(tensor);
      if (found === undefined) throw new Error('a parameter has no influence on the result of its block');
      return sumOf(this.precision, found);
    });
  }

  /** The tensors that depend on one of these, themselves included: gradients flow through them alone. */
  private influencedBy(sources: readonly Tensor[]): ReadonlySet<Tensor> {
    const found = new Set(sources);
    for (const { inputs, output } of this.steps) {
      if (inputs.some((input) => found.has(input))) found.add(output);
    }
    return found;
  }
}
