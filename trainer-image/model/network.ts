import type { HeadRows, Layout } from '../data/layout.ts';
import { compile, createVariable, free, ops, scope, tensor, type Tensor, type Variable } from '../engine/engine.ts';
import type { Architecture } from './architecture.ts';
import { blockFor, type Block } from './block.ts';
import { readConfig, type RawConfig } from './config.ts';
import type { HeadWeights } from './head.ts';
import { architectureOf } from './models.ts';
import type { Rotation } from './primitives.ts';
import { weightShapes } from './weight-shapes.ts';
import { openWeights } from './weights.ts';

/** A head call's gradients: of x [n, hidden], of the norm and of the projection. */
export type HeadCall = (head: HeadRows, output: Tensor, weights: HeadWeights) => readonly Tensor[];
/** Receives the gradient of one weight; it owns the tensor from then on. */
export type GradientSink = (name: string, gradient: Tensor) => void;

/** Cosine and sine of each token's rotation angles (Su et al. 2021, sec. 3.2.2), [n, headSize / 2]. */
function rotationOf({ config }: Architecture, positions: Int32Array): Rotation {
  const half = config.headSize / 2;
  // In float32, as torch computes the angles: at position 10,000 double precision differs in the third digit.
  const frequencies = Array.from({ length: half }, (_, i) =>
    Math.fround(1 / config.ropeTheta ** ((2 * i) / config.headSize)),
  );
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  positions.forEach((position, row) => {
    frequencies.forEach((frequency, i) => {
      const angle = Math.fround(position * frequency);
      cos[row * half + i] = Math.cos(angle);
      sin[row * half + i] = Math.sin(angle);
    });
  });
  const shape = [positions.length, half];
  return { cos: tensor(cos, shape), sin: tensor(sin, shape) };
}

function loadVariables(folder: string, architecture: Architecture): Variable[] {
  const weights = openWeights(folder);
  try {
    return weightShapes(architecture).map(([name, shape]) =>
      createVariable(name, weights.read(name, shape).data, shape),
    );
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
    this.variables = loadVariables(folder, this.architecture);
    this.byName = new Map(this.variables.map((variable) => [variable.name, variable]));
  }

  readHead(): HeadWeights {
    const { norm, head, config } = this.architecture;
    return { norm: this.value(norm), projection: this.value(head), epsilon: config.normEpsilon };
  }

  /** Hidden states before the last norm [n, hidden], in the caller's scope. */
  forward(layout: Layout): { output: Tensor; weights: HeadWeights } {
    const block = this.block(layout);
    let x = this.embed(layout);
    for (let layer = 0; layer < this.architecture.config.layers; layer++) {
      const { output, saved } = this.withWeights(layer, (weights) => block.forward(x, weights));
      free(x, ...saved);
      x = output;
    }
    return { output: x, weights: this.readHead() };
  }

  /** Forward, then each head group, then backward block by block. Call it in a scope. */
  backpropagate(layout: Layout, head: HeadCall, sink: GradientSink): void {
    const block = this.block(layout);
    const kept: { x: Tensor; saved: Tensor[] }[] = [];
    let x = this.embed(layout);
    for (let layer = 0; layer < this.architecture.config.layers; layer++) {
      const { output, saved } = this.withWeights(layer, (weights) => block.forward(x, weights));
      kept.push({ x, saved });
      x = output;
    }
    let dx = this.headGradients(layout, x, head, sink);
    free(x);
    for (let layer = kept.length - 1; layer >= 0; layer--) {
      const { x: input, saved } = kept[layer] as { x: Tensor; saved: Tensor[] };
      const [dInput, ...gradients] = this.withWeights(layer, (weights) => block.backward(dx, input, saved, weights));
      free(dx, input, ...saved);
      this.layerNames(layer).forEach((name, i) => sink(name, gradients[i] as Tensor));
      dx = dInput as Tensor;
    }
    sink(this.architecture.embedding, this.embeddingGradient(layout, dx));
    free(dx);
  }

  private headGradients({ heads }: Layout, output: Tensor, call: HeadCall, sink: GradientSink): Tensor {
    const parts = heads.map((group) => {
      const [dx, dNorm, dProjection] = scope(() => call(group, output, this.readHead())) as [Tensor, Tensor, Tensor];
      sink(this.architecture.norm, dNorm);
      sink(this.architecture.head, dProjection);
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

  private block(layout: Layout): Block {
    return blockFor(this.architecture, layout.segments, rotationOf(this.architecture, layout.positions));
  }

  /** Reads a layer's weights only for the call: a read that stays alive would make the update copy them. */
  private withWeights<T>(layer: number, f: (weights: Tensor[]) => T): T {
    return scope(() => f(this.layerNames(layer).map((name) => this.value(name))));
  }

  private embed(layout: Layout): Tensor {
    const gather = ([table, ids]: Tensor[]): Tensor[] => [ops.gather(table as Tensor, ids as Tensor)];
    return scope(() => {
      const tokens = tensor(layout.tokens, [layout.tokens.length], 'int32');
      return compile('embedding', gather, [this.value(this.architecture.embedding), tokens])[0] as Tensor;
    });
  }

  private embeddingGradient(layout: Layout, dx: Tensor): Tensor {
    const rows = this.architecture.config.vocabSize;
    const spread = ([gradient, at]: Tensor[]): Tensor[] => [ops.segmentSum(gradient as Tensor, at as Tensor, rows)];
    return scope(() => {
      const ids = tensor(layout.tokens, [layout.tokens.length], 'int32');
      return compile('embedding backward', spread, [dx, ids])[0] as Tensor;
    });
  }
}
