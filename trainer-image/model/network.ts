import type { HeadRows, Layout } from '../data/layout.ts';
import { rowsOfGroup } from '../data/padding.ts';
import { createVariable, elements, free, ops, scope, tensor, type Tensor, type Variable } from '../engine/engine.ts';
import { givenShapes, trainedShapes, type Architecture, type LayerKind, type Shapes } from './architecture.ts';
import { blockFor, type Block, type BlockWeights } from './block.ts';
import { readConfig, type RawConfig } from './config.ts';
import { embed, embeddingGradients, embeddingNames, type Places } from './embedding.ts';
import type { GradientSink } from './gradients.ts';
import type { HeadWeights } from './head.ts';
import { readAdapterFolder } from './adapter-folder.ts';
import { firstAdapters } from './adapters.ts';
import { withLora, type LoraSettings } from './lora.ts';
import { architectureOf } from './models.ts';
import { bytesOf, keptBudget, recomputation, type Recomputation } from './recompute.ts';
import type { Rotation } from './primitives.ts';
import type { Precision } from './products.ts';
import { rotationOf, sequenceLengths, type Rope } from './rope.ts';
import type { NamedTensor } from './safetensors.ts';
import { outputsOf, type SavedStep } from './tape.ts';
import { weightShapes } from './weight-shapes.ts';
import { openWeights } from './weights.ts';

/** A head call's gradients: of x [n, hidden], of the projection, and of each weight of the last norm. */
export type HeadCall = (head: HeadRows, output: Tensor, weights: HeadWeights) => readonly Tensor[];

/** f, called once for each argument. */
export function once<K, V>(f: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return (key) => {
    const value = known.get(key) ?? f(key);
    known.set(key, value);
    return value;
  };
}

/** A checkpoint of the base model alone has names without its prefix, as GPT-2's own has. */
function nameIn(stored: readonly string[], name: string, prefix: string): string {
  const bare = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return !stored.includes(name) && stored.includes(bare) ? bare : name;
}

/** Numbers in some weights. */
export const numbersOf = (variables: readonly Variable[]): number =>
  variables.reduce((sum, { shape }) => sum + elements(shape), 0);

/** f of every weight of an architecture in a checkpoint folder, in their fixed order. */
function eachWeight<T>(
  folder: string,
  architecture: Architecture,
  f: (name: string, shape: readonly number[], data: Float32Array) => T,
  beat: () => void,
): T[] {
  const weights = openWeights(folder);
  try {
    return weightShapes(architecture).map(([name, shape]) => {
      const stored = nameIn(weights.names, name, architecture.basePrefix);
      const result = f(name, shape, weights.read(stored, shape).data);
      beat();
      return result;
    });
  } finally {
    weights.close();
  }
}

/** Low-rank adapters to be trained in the place of the weights. */
export interface LoraStart {
  settings: LoraSettings;
  /** Of their first values. */
  seed: number;
  /** PEFT's folder that has their first values instead. */
  folder?: string | undefined;
}

/**
 * The type of a weight that never changes and is only multiplied in bfloat16: bfloat16 where that loses nothing, as of the
 * checkpoints on the Hub, in half the memory. Norms, which are few, stay float32.
 */
function frozenType(shape: readonly number[], data: Float32Array): 'float32' | 'bfloat16' {
  if (shape.length !== 2) return 'float32';
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  for (let i = 0; i < words.length; i++) if (((words[i] as number) & 0xffff) !== 0) return 'float32';
  return 'bfloat16';
}

export interface NetworkOptions {
  lora?: LoraStart | undefined;
  /** fp32 if undefined. */
  precision?: Precision;
  /** Whether blocks are run again in the backward: recompute.ts. */
  gradientCheckpointing?: boolean | undefined;
  /** Called after each weight that was loaded. */
  beat?: (() => void) | undefined;
}

/** The weights of a model in TensorFlow, and its passes forward and backward over a micro-batch. */
export class Network {
  /** config.json as it was read. */
  readonly raw: RawConfig;
  readonly architecture: Architecture;
  /** Every weight of the checkpoint once, in a fixed order, under its Hugging Face name. */
  readonly variables: readonly Variable[];
  /** What training changes: the adapters where there are some, else every weight. */
  readonly trained: readonly Variable[];
  private readonly byName: ReadonlyMap<string, Variable>;
  private readonly lora: LoraStart | undefined;
  /** Bytes that the blocks may keep of their forward for their backward. */
  keptBudget: number;

  /** Loads a Hugging Face checkpoint folder. Throws InvalidConfiguration for one that cannot be used. */
  constructor(folder: string, options: NetworkOptions = {}) {
    const { lora, precision, gradientCheckpointing, beat = () => {} } = options;
    this.raw = readConfig(folder);
    const plain = architectureOf(this.raw, precision);
    this.architecture = lora === undefined ? plain : withLora(plain, lora.settings);
    const typeOf = lora !== undefined && precision === 'bf16' ? frozenType : () => 'float32' as const;
    this.variables = eachWeight(
      folder,
      plain,
      (name, shape, data) => createVariable(name, data, shape, typeOf(shape, data)),
      beat,
    );
    this.lora = lora;
    const adapters = this.firstAdapters().map(({ name, shape, data }) => createVariable(name, data, shape));
    this.trained = lora === undefined ? this.variables : adapters;
    this.byName = new Map([...this.variables, ...adapters].map((variable) => [variable.name, variable]));
    this.keptBudget = keptBudget(
      gradientCheckpointing,
      this.variables.reduce((bytes, variable) => bytes + bytesOf(variable), 0),
    );
  }

  private firstAdapters(): NamedTensor[] {
    if (this.lora === undefined) return [];
    const { settings, seed, folder } = this.lora;
    return folder === undefined
      ? firstAdapters(this.architecture, this.variables, seed)
      : readAdapterFolder(folder, this.architecture, settings);
  }

  private get trainsAll(): boolean {
    return this.architecture.adapters === undefined;
  }

  /** Sets every weight to that of a checkpoint folder of the same model, and adapters to their start. */
  load(folder: string, beat: () => void = () => {}): void {
    const set = (name: string, shape: readonly number[], data: Float32Array): void =>
      scope(() => (this.byName.get(name) as Variable).assign(tensor(data, shape)));
    // Beside adapters the weights never change.
    if (this.trainsAll) eachWeight(folder, this.architecture, set, beat);
    for (const { name, shape, data } of this.firstAdapters()) set(name, shape, data);
  }

  readHead(): HeadWeights {
    const { architecture, trainsAll } = this;
    const norm = Object.keys(architecture.finalNorm.shapes).map((name) => this.value(name));
    return { architecture, norm, projection: this.value(architecture.head), trained: trainsAll };
  }

  /** Hidden states before the last norm [n, hidden], in the caller's scope. */
  forward(layout: Layout): { output: Tensor; weights: HeadWeights } {
    const blocks = this.blocks(layout);
    let x = this.embed(layout);
    for (const [layer, block] of blocks.entries()) {
      const { output, saved } = this.withWeights(layer, (weights) => block.forward(x, weights));
      free(x, ...outputsOf(saved));
      x = output;
    }
    return { output: x, weights: this.readHead() };
  }

  /**
   * Forward, then each head group, then backward block by block, the first ones run again where the activations of all are
   * too many. Call it in a scope. `maskSeed` tells the dropout masks of
   * one micro-batch from another's; it is used where adapters drop.
   */
  backpropagate(layout: Layout, head: HeadCall, sink: GradientSink, maskSeed = 0): void {
    const blocks = this.blocks(layout);
    const kept: { x: Tensor; saved: SavedStep[] }[] = [];
    let again: Recomputation | undefined;
    let x = this.embed(layout);
    for (const [layer, block] of blocks.entries()) {
      const { output, saved } = this.withWeights(layer, (weights) => block.forward(x, weights), maskSeed);
      again ??= recomputation(saved, blocks.length, this.keptBudget);
      const { blocks: count, keepsFirst } = again;
      const stays = ({ first }: SavedStep): boolean => layer >= count || (keepsFirst && first);
      free(...outputsOf(saved.filter((step) => !stays(step))));
      kept.push({ x, saved: saved.filter(stays) });
      x = output;
    }
    let dx = this.headGradients(layout, x, head, sink);
    free(x);
    for (let layer = kept.length - 1; layer >= 0; layer--) {
      const { x: input, saved } = kept[layer] as (typeof kept)[number];
      const block = blocks[layer] as Block;
      const [dInput, ...gradients] = this.withWeights(
        layer,
        (weights) => block.backward(dx, input, saved, weights),
        maskSeed,
      );
      free(dx, input, ...outputsOf(saved));
      this.layerNames(layer, trainedShapes(this.architecture)).forEach((name, i) =>
        sink.add(name, gradients[i] as Tensor),
      );
      dx = dInput as Tensor;
    }
    if (this.trainsAll) embeddingGradients(this.architecture, layout, dx, sink);
    free(dx);
  }

  private headGradients({ heads }: Layout, output: Tensor, call: HeadCall, sink: GradientSink): Tensor {
    const parts = heads.map((group) => {
      const [dx, dProjection, ...dNorm] = scope(() => call(group, output, this.readHead())) as [Tensor, ...Tensor[]];
      if (!this.trainsAll) return dx;
      Object.keys(this.architecture.finalNorm.shapes).forEach((name, i) => sink.add(name, dNorm[i] as Tensor));
      sink.add(this.architecture.head, dProjection as Tensor);
      return dx;
    });
    if (parts.length === 1) return parts[0] as Tensor;
    const sum = ops.addN(parts);
    free(...parts);
    return sum;
  }

  private value(name: string): Tensor {
    return (this.byName.get(name) as Variable).value();
  }

  private layerNames(layer: number, shapes: Shapes): string[] {
    return Object.keys(shapes).map((name) => this.architecture.prefix(layer) + name);
  }

  /** The block of each layer for a layout: made once per kind, and rotations once per rope. */
  private blocks({ segments, positions, padding: shape }: Layout): Block[] {
    const { architecture } = this;
    const lengths = shape?.lengths ?? sequenceLengths(segments);
    const padding = shape && { shape, places: tensor(shape.places, [shape.groups, rowsOfGroup(shape)]) };
    const rotation = once((rope: Rope): Rotation => rotationOf(rope, positions, lengths));
    const block = once((kind: LayerKind): Block => {
      return blockFor(architecture, kind, { segments, padding, rotation: kind.rope && rotation(kind.rope) });
    });
    return Array.from({ length: architecture.config.layers }, (_, layer) => block(architecture.kind(layer)));
  }

  /**
   * What f makes of a layer's weights. An error names the layer. With `maskSeed` the layer's adapters drop.
   */
  withWeights<T>(layer: number, f: (weights: BlockWeights) => T, maskSeed?: number): T {
    const drops = maskSeed !== undefined && (this.architecture.adapters?.dropout ?? 0) > 0;
    return scope(() => {
      const values = this.layerNames(layer, givenShapes(this.architecture)).map((name) => this.value(name));
      // Each layer has room for a thousand masks.
      const dropoutSeed = drops ? tensor(Int32Array.of(maskSeed, layer * 1000), [2]) : undefined;
      try {
        return f({ values, dropoutSeed });
      } catch (error) {
        throw new Error(`layer ${layer}: ${(error as Error).message}`, { cause: error });
      }
    });
  }

  /** Hidden states at the first block, [n, hidden]. */
  embed(places: Places): Tensor {
    const names = embeddingNames(this.architecture);
    return scope(() =>
      embed(
        this.architecture,
        places,
        names.map((name) => this.value(name)),
      ),
    );
  }
}
