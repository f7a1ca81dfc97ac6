import { compile, kernelSet, type Tensor } from '../engine/engine.ts';
import type { Segments } from '../data/layout.ts';
import type { Shape } from '../data/padding.ts';
import {
  givenShapes,
  named,
  trainedShapes,
  type Architecture,
  type Context,
  type LayerKind,
  type Parameters,
} from './architecture.ts';
import { attention } from './attention.ts';
import { paddedAttention } from './padded-attention.ts';
import type { Rotation } from './primitives.ts';
import { outputsOf, Tape, type AdapterUse, type SavedStep } from './tape.ts';

/**
 * Which steps a kind of block keeps for its backward on so many rows, whatever the layout: found when a forward is recorded.
 * The number of rows may decide how a layer with an adapter multiplies.
 */
const keptSteps = new Map<string, readonly KeptStep[]>();
type KeptStep = Omit<SavedStep, 'output'>;

const withoutOutput = ({ step, first }: SavedStep): KeptStep => ({ step, first });

/** A block's output and what its backward needs of it. */
export interface BlockResult {
  output: Tensor;
  saved: SavedStep[];
}

/** The compiled forward and backward of one transformer block for a micro-batch's layout; called once per layer. */
export interface Block {
  /** x [n, hidden], weights in the order of givenShapes. */
  forward(x: Tensor, weights: BlockWeights): BlockResult;
  /** dy [n, hidden] -> [dx, gradient of each weight in the order of trainedShapes]; what was not saved it computes again. */
  backward(dy: Tensor, x: Tensor, saved: readonly SavedStep[], weights: BlockWeights): Tensor[];
}

/** One layer's weights in the order of givenShapes, and the seed [2] of its dropout masks where it drops. */
export interface BlockWeights {
  values: readonly Tensor[];
  dropoutSeed: Tensor | undefined;
}

/** Where a block runs: the layout of the micro-batch and the rotation of its rows, where the kind has one. */
export interface Place {
  segments: readonly Segments[];
  rotation: Rotation | undefined;
  /** Where groups have one shape: `places` [groups, rows of a group], the position of each row, -1 for padding. */
  padding?: { shape: Shape; places: Tensor } | undefined;
}

/** What tells a layout's functions from another's. */
const layoutName = ({ segments, padding }: Place): string =>
  padding === undefined
    ? segments.map((group) => [group.prompt, ...group.completions].join('+')).join(' ')
    : `padded ${[padding.shape.groups, padding.shape.prompt, padding.shape.answers, padding.shape.answer].join('x')}`;

/**
 * The block of a kind of layer for a layout. All layers of the kind share one recording. The key holds the layout's
 * segments; shapes are added to it by the engine.
 */
export function blockFor(architecture: Architecture, kind: LayerKind, place: Place): Block {
  const { segments, rotation, padding } = place;
  const [given, trained] = [givenShapes(architecture), trainedShapes(architecture)];
  // With other kernels other steps are kept.
  const own = `${architecture.id} ${kind.name} ${kernelSet()}`;
  const layout = layoutName(place);
  const turning = rotation === undefined ? [] : [rotation.cos, rotation.sin];
  const tables = padding === undefined ? turning : [padding.places, ...turning];
  const contextOf = (list: readonly Tensor[]): Context => {
    const [cos, sin] = padding === undefined ? list : list.slice(1);
    return {
      kind,
      rotation: cos === undefined || sin === undefined ? undefined : { cos, sin },
      attend: padding === undefined ? attention(segments) : paddedAttention(padding.shape, list[0] as Tensor),
    };
  };
  /** Inputs after the block's own: rotation, weights, and the dropout's seed where there is one. */
  const take = (list: readonly Tensor[]) => {
    const count = Object.keys(given).length;
    const [context, rest] = [contextOf(list.slice(0, tables.length)), list.slice(tables.length)];
    return { context, p: named(given, rest.slice(0, count)), adapters: adapterUse(architecture, rest[count]) };
  };
  const inputs = ({ values, dropoutSeed }: BlockWeights): Tensor[] => [
    ...tables,
    ...values,
    ...(dropoutSeed === undefined ? [] : [dropoutSeed]),
  ];
  const ofKind = ({ dropoutSeed }: BlockWeights): string => own + (dropoutSeed === undefined ? '' : ' with dropout');
  const stepsOf = (weights: BlockWeights, x: Tensor): string => `${ofKind(weights)} ${x.shape[0]}`;
  const wanted = (x: Tensor, p: Parameters): Tensor[] => [x, ...Object.keys(trained).map((name) => p[name] as Tensor)];
  return {
    forward: (x, weights) => {
      const run = ([input, ...rest]: Tensor[]): Tensor[] => {
        const { context, p, adapters } = take(rest);
        const tape = new Tape(architecture.precision, new Map(), adapters);
        const output = architecture.block(tape, input as Tensor, p, context);
        const saved = tape.saved(wanted(input as Tensor, p));
        keptSteps.set(stepsOf(weights, x), saved.map(withoutOutput));
        return [output, ...outputsOf(saved)];
      };
      const [output, ...outputs] = compile(`${ofKind(weights)} forward ${layout}`, run, [x, ...inputs(weights)]);
      const steps = keptSteps.get(stepsOf(weights, x)) as readonly KeptStep[];
      return { output: output as Tensor, saved: steps.map((step, i) => ({ ...step, output: outputs[i] as Tensor })) };
    },
    backward: (dy, x, saved, weights) => {
      const run = ([gradient, input, ...list]: Tensor[]): Tensor[] => {
        const { context, p, adapters } = take(list.slice(saved.length));
        const given = new Map(saved.map(({ step }, i) => [step, list[i] as Tensor]));
        const tape = new Tape(architecture.precision, given, adapters);
        const output = architecture.block(tape, input as Tensor, p, context);
        return tape.gradients(output, gradient as Tensor, wanted(input as Tensor, p));
      };
      const key = `${ofKind(weights)} backward ${layout} / ${saved.map(({ step }) => step).join('+')}`;
      return compile(key, run, [dy, x, ...outputsOf(saved), ...inputs(weights)]);
    },
  };
}

/** A block's output alone, within whatever records it: x [n, hidden], weights in the order of givenShapes. */
export function inferBlock(
  architecture: Architecture,
  x: Tensor,
  weights: readonly Tensor[],
  context: Context,
): Tensor {
  const tape = new Tape(architecture.precision, new Map(), adapterUse(architecture, undefined));
  return architecture.block(tape, x, named(givenShapes(architecture), weights), context);
}

/** How the block's adapters are applied; they drop only where a seed is given. */
function adapterUse({ adapters }: Architecture, seed: Tensor | undefined): AdapterUse | undefined {
  if (adapters === undefined) return undefined;
  return { scaling: adapters.scaling, dropout: seed === undefined ? undefined : { rate: adapters.dropout, seed } };
}
