import { compile, type Tensor } from '../engine/engine.ts';
import type { Segments } from '../data/layout.ts';
import { named, type Architecture, type Context, type LayerKind } from './architecture.ts';
import { attention } from './attention.ts';
import type { Rotation } from './primitives.ts';
import { Tape } from './tape.ts';

/** Which steps of a kind of block its forward keeps: the same for every layout, found when one is recorded. */
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

/** Where a block runs: the layout of the micro-batch and the rotation of its rows, where the kind has one. */
export interface Place {
  segments: readonly Segments[];
  rotation: Rotation | undefined;
}

/**
 * The block of a kind of layer for a layout. All layers of the kind share one recording. The key holds the layout's
 * segments; shapes are added to it by the engine.
 */
export function blockFor(architecture: Architecture, kind: LayerKind, { segments, rotation }: Place): Block {
  const { blockShapes, block } = architecture;
  const own = `${architecture.id} ${kind.name}`;
  const layout = segments.map((group) => [group.prompt, ...group.completions].join('+')).join(' ');
  const tables = rotation === undefined ? [] : [rotation.cos, rotation.sin];
  const contextOf = ([cos, sin]: readonly Tensor[]): Context => ({
    kind,
    rotation: cos === undefined || sin === undefined ? undefined : { cos, sin },
    attend: attention(segments),
  });
  const take = (list: Tensor[]): [Context, Tensor[]] => [
    contextOf(list.slice(0, tables.length)),
    list.slice(tables.length),
  ];
  return {
    forward: (x, weights) => {
      const run = ([input, ...rest]: Tensor[]): Tensor[] => {
        const tape = new Tape();
        const [context, parameters] = take(rest);
        const output = block(tape, input as Tensor, named(blockShapes, parameters), context);
        const saved = tape.saved();
        keptSteps.set(own, [...saved.keys()]);
        return [output, ...saved.values()];
      };
      const [output, ...saved] = compile(`${own} forward ${layout}`, run, [x, ...tables, ...weights]);
      return { output: output as Tensor, saved };
    },
    backward: (dy, x, saved, weights) => {
      const run = ([gradient, input, ...list]: Tensor[]): Tensor[] => {
        const [context, rest] = take(list);
        const steps = keptSteps.get(own) as number[];
        const tape = new Tape(new Map(steps.map((step, i) => [step, rest[i] as Tensor])));
        const parameters = rest.slice(steps.length);
        const output = block(tape, input as Tensor, named(blockShapes, parameters), context);
        return tape.gradients(output, gradient as Tensor, [input as Tensor, ...parameters]);
      };
      return compile(`${own} backward ${layout}`, run, [dy, x, ...tables, ...saved, ...weights]);
    },
  };
}
