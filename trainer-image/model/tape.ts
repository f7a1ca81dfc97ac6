import { ops, type Tensor } from '../engine/engine.ts';

/** One primitive's call: what came of it and how its gradient flows back. */
interface Step {
  output: Tensor;
  inputs: readonly Tensor[];
  /** Tensors that `backward` reads: some of the inputs or the output. */
  needs: readonly Tensor[];
  /** Costly to compute again (a matrix product): kept from the forward pass when something needs it. */
  costly: boolean;
  /** Gradient of the output -> gradient of each input, in their order; undefined where an input has none. */
  backward: (gradient: Tensor) => readonly (Tensor | undefined)[];
}

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

  /** `given`: step number -> its output, saved by the forward pass. */
  constructor(given: ReadonlyMap<number, Tensor> = new Map()) {
    this.given = given;
  }

  run({ compute, ...step }: Primitive): Tensor {
    const output = this.given.get(this.steps.length) ?? compute();
    this.steps.push({ ...step, output });
    return output;
  }

  /** Numbers and outputs of the steps to be kept for the backward, in their order. */
  saved(): Map<number, Tensor> {
    const maker = new Map(this.steps.map((step, number) => [step.output, number]));
    const wanted = new Set<number>();
    const visit = (needed: Tensor): void => {
      const number = maker.get(needed);
      if (number === undefined || wanted.has(number)) return;
      const step = this.steps[number] as Step;
      if (step.costly) wanted.add(number);
      else step.inputs.forEach(visit);
    };
    this.steps.forEach((step) => step.needs.forEach(visit));
    return new Map([...wanted].sort((a, b) => a - b).map((number) => [number, (this.steps[number] as Step).output]));
  }

  /** Gradients of `wanted` when the block's output has the given gradient. Throws when one has no influence on it. */
  gradients(output: Tensor, gradient: Tensor, wanted: readonly Tensor[]): Tensor[] {
    const parts = new Map<Tensor, Tensor[]>([[output, [gradient]]]);
    for (const step of this.steps.toReversed()) {
      const incoming = parts.get(step.output);
      if (incoming === undefined) continue;
      step.backward(ops.addN(incoming)).forEach((part, i) => {
        const input = step.inputs[i] as Tensor;
        if (part !== undefined) parts.set(input, [...(parts.get(input) ?? []), part]);
      });
    }
    return wanted.map((tensor) => {
      const sum = parts.get(tensor);
      if (sum === undefined) throw new Error('a parameter has no influence on the result of its block');
      return ops.addN(sum);
    });
  }
}
