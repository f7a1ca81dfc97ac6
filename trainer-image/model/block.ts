import { compile, type Tensor } from '../engine/engine.ts';
import type { Segments } from '../data/layout.ts';
import type { Architecture, Parameters } from './architecture.ts';
import type { Rotation } from './primitives.ts';
import { Tape } from './tape.ts';

/** Which steps of an architecture's block its forward keeps: the same for every layout, found when one is recorded. */
const keptSteps = new Map<string, readonly number[]>();

/** A block's output and what its backward needs of it. */
export interface BlockResult {
  output: Tensor;
  saved: Tensor[];
}

/** The compiled forward and backward of one transformer block for a micro-batch's layout; called once per layer. */
export interface Block {
  /** x [n, hidden], weights in the order of blockShapes. */
  forward(x: Tensor, weights: readonly Tensor[]): BlockResult;
  /** dy [n, hidden] -> [dx, gradient of each weight in the order of blockShapes]. */
  backward(dy: Tensor, x: Tensor, saved: readonly Tensor[], weights: readonly Tensor[]): Tensor[];
}

/**
 * The block for a layout. `layer` numbers do not matter: all layers share one recording. The key holds the layout's
 * segments; shapes are added to it by the engine.
 */
export function blockFor(architecture: Architecture, segments: readonly Segments[], rotation: Rotation): Block {
  const names = Object.keys(architecture.blockShapes);
  const key = segments.map((group) => [group.prompt, ...group.completions].join('+')).join(' ');
  const named = (weights: readonly Tensor[]): Parameters =>
    Object.fromEntries(names.map((name, i) => [name, weights[i] as Tensor]));
  return {
    forward: (x, weights) => {
      const run = ([input, cos, sin, ...rest]: Tensor[]): Tensor[] => {
        const tape = new Tape();
        const context = { segments, rotation: { cos: cos as Tensor, sin: sin as Tensor } };
        const output = architecture.block(tape, input as Tensor, named(rest), context);
        const saved = tape.saved();
        keptSteps.set(architecture.config.modelType, [...saved.keys()]);
        return [output, ...saved.values()];
      };
      const [output, ...saved] = compile(`block forward ${key}`, run, [x, rotation.cos, rotation.sin, ...weights]);
      return { output: output as Tensor, saved };
    },
    backward: (dy, x, saved, weights) => {
      const run = ([gradient, input, cos, sin, ...rest]: Tensor[]): Tensor[] => {
        const steps = keptSteps.get(architecture.config.modelType) as number[];
        const given = new Map(steps.map((step, i) => [step, rest[i] as Tensor]));
        const tape = new Tape(given);
        const parameters = rest.slice(steps.length);
        const context = { segments, rotation: { cos: cos as Tensor, sin: sin as Tensor } };
        const output = architecture.block(tape, input as Tensor, named(parameters), context);
        return tape.gradients(output, gradient as Tensor, [input as Tensor, ...parameters]);
      };
      return compile(`block backward ${key}`, run, [dy, x, rotation.cos, rotation.sin, ...saved, ...weights]);
    },
  };
}
