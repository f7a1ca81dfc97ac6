import type { HeadRows, Layout } from '../data/layout.ts';
import { createVariable, free, ops, scope, tensor, type Tensor, type Variable } from '../engine/engine.ts';
import type { Architecture, LayerKind } from './architecture.ts';
import { blockFor, type Block } from './block.ts';
import { readConfig, type RawConfig } from './config.ts';
import { embed, embeddingGradients, embeddingNames, type Places } from './embedding.ts';
import type { HeadWeights } from './head.ts';
import { architectureOf } from './models.ts';
import type { Rotation } from './primitives.ts';
import { rotationOf, sequenceLengths, type Rope } from './rope.ts';
import { weightShapes } from './weight-shapes.ts';
import { openWeights } from './weights.ts';

/** A head call's gradients: of x [n, hidden], of the projection, and of each weight of the last norm. */
export type HeadCall = (head: HeadRows, output: Tensor, weights: HeadWeights) => readonly Tensor[];
/** Receives the gradient of one weight; it owns the tensor from then on. */
export type GradientSink = (name: string, gradient: Tensor) => void;

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

/** f of every weight of an architecture in a checkpoint folder, in their fixed order. */
function eachWeight<T>(
  folder: string,
  architecture: Architecture,
  f: (name: string, shape: readonly number[], data: Float32Array) => T,
): T[] {
  const weights = openWeights(folder);
  try {
    return weightShapes(architecture).map(([name, shape]) => {
      const stored = nameIn(weights.names, name, architecture.basePrefix);
      return f(name, shape, weights.read(stored, shape).data);
    });
  } finally {
    weights.close();
  }
}

/** The weights of a model in TensorFlow, and its passes forward and backward over a micro-batch. */
export class Network {
  /** config.json as it was read. */
  readonly raw: RawConfig;
  readonly architecture: Architecture;
  /** Every weight once, in a fixed order, under its Hugging Face name. */
  readonly variables: readonly Variable[];
  private readonly byName: ReadonlyMap<string, Variable>;

  /** Loads a Hugging Face checkpoint folder. Throws InvalidConfiguration for one that cannot be used. */
  constructor(folder: string) {
    this.raw = readConfig(folder);
    this.architecture = architectureOf(this.raw);
    this.variables = eachWeight(folder, this.architecture, (name, shape, data) => createVariable(name, data, shape));
    this.byName = new Map(this.variables.map((variable) => [variable.name, variable]));
  }

  /** Sets every weight to that of a checkpoint folder of the same model. */
  load(folder: string): void {
    eachWeight(folder, this.architecture, (name, shape, data) =>
      scope(() => (this.byName.get(name) as Variable).assign(tensor(data, shape))),
    );
  }

  readHead(): HeadWeights {
    const { architecture } = this;
    const norm = Object.keys(architecture.finalNorm.shapes).map((name) => this.value(name));
    return { architecture, norm, projection: this.value(architecture.head) };
  }

  /** Hidden states before the last norm [n, hidden], in the caller's scope. */
  forward(layout: Layout): { output: Tensor; weights: HeadWeights } {
    const blocks = this.blocks(layout);
    let x = this.embed(layout);
    for (const [layer, block] of blocks.entries()) {
      const { output, saved } = this.withWeights(layer, (weights) => block.forward(x, weights));
      free(x, ...saved);
      x = output;
    }
    return { output: x, weights: this.readHead() };
  }

  /** Forward, then each head group, then backward block by block. Call it in a scope. */
  backpropagate(layout: Layout, head: HeadCall, sink: GradientSink): void {
    const blocks = this.blocks(layout);
    const kept: { x: Tensor; saved: Tensor[] }[] = [];
    let x = this.embed(layout);
    for (const [layer, block] of blocks.entries()) {
      const { output, saved } = this.withWeights(layer, (weights) => block.forward(x, weights));
      kept.push({ x, saved });
      x = output;
    }
    let dx = this.headGradients(layout, x, head, sink);
    free(x);
    for (let layer = kept.length - 1; layer >= 0; layer--) {
      const { x: input, saved } = kept[layer] as { x: Tensor; saved: Tensor[] };
      const block = blocks[layer] as Block;
      const [dInput, ...gradients] = this.withWeights(layer, (weights) => block.backward(dx, input, saved, weights));
      free(dx, input, ...saved);
      this.layerNames(layer).forEach((name, i) => sink(name, gradients[i] as Tensor));
      dx = dInput as Tensor;
    }
    const gradients = scope(() => embeddingGradients(this.architecture, layout, dx));
    embeddingNames(this.architecture).forEach((name, i) => sink(name, gradients[i] as Tensor));
    free(dx);
  }

  private headGradients({ heads }: Layout, output: Tensor, call: HeadCall, sink: GradientSink): Tensor {
    const parts = heads.map((group) => {
      const [dx, dProjection, ...dNorm] = scope(() => call(group, output, this.readHead())) as [Tensor, ...Tensor[]];
      Object.keys(this.architecture.finalNorm.shapes).forEach((name, i) => sink(name, dNorm[i] as Tensor));
      sink(this.architecture.head, dProjection as Tensor);
      return dx;
    });
    if (parts.length === 1) return parts[0] as Tensor;
    const sum = ops.addN(parts);
    free(...parts);
    return sum;
  }

  private value(name: string): Tensor {
    return (this.byName.get(name) as Variable).read();
  }

  private layerNames(layer: number): string[] {
    return Object.keys(this.architecture.blockShapes).map((name) => this.architecture.prefix(layer) + name);
  }

  /** The block of each layer for a layout: made once per kind, and rotations once per rope. */
  private blocks({ segments, positions }: Layout): Block[] {
    const { architecture } = this;
    const lengths = sequenceLengths(segments);
    const rotation = once((rope: Rope): Rotation => rotationOf(rope, positions, lengths));
    const block = once((kind: LayerKind): Block => {
      return blockFor(architecture, kind, { segments, rotation: kind.rope && rotation(kind.rope) });
    });
    return Array.from({ length: architecture.config.layers }, (_, layer) => block(architecture.kind(layer)));
  }

  /** Reads a layer's weights only for the call: a read that stays alive would make the update copy them. */
  withWeights<T>(layer: number, f: (weights: Tensor[]) => T): T {
    return scope(() => f(this.layerNames(layer).map((name) => this.value(name))));
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
