import type { HeadRows, Layout } from '../data/layout.ts';
import { compile, createVariable, free, ops, scope, tensor, type Tensor, type Variable } from '../engine/engine.ts';
import type { Architecture } from './architecture.ts';
import { blockFor, type Block } from './block.ts';
import { readConfig, type RawConfig } from './config.ts';
import type { HeadWeights } from './head.ts';
import { architectureOf } from './models.ts';
import type { Rotation } from './primitives.ts';
import { openWeights } from './weights.ts';

/** A head call's gradients: of x [n, hidden], of the norm and of the projection. */
export type HeadCall = (head: HeadRows, output: Tensor, weights: HeadWeights) => readonly Tensor[];
/** Receives the gradient of one weight; it owns the tensor from then on. */
export type GradientSink = (name: string, gradient: Tensor) => void;

export interface Network {
  /** config.json as it was read. */
  raw: RawConfig;
  architecture: Architecture;
  /** Every weight once, in a fixed order, under its Hugging Face name. */
  variables: readonly Variable[];
  readHead(): HeadWeights;
  /** Hidden states before the last norm [n, hidden], in the caller's scope. */
  forward(layout: Layout): { output: Tensor; weights: HeadWeights };
  /** Forward, then each head group, then backward block by block. Call it in a scope. */
  backpropagate(layout: Layout, head: HeadCall, sink: GradientSink): void;
}

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

/** All weights of an architecture with their shapes, in checkpoint order. */
function weightShapes(architecture: Architecture): [string, readonly number[]][] {
  const { embedding, norm, head, config, prefix, blockShapes } = architecture;
  const table = [config.vocabSize, config.hiddenSize];
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    Object.entries(blockShapes).map(([name, shape]): [string, readonly number[]] => [prefix(layer) + name, shape]),
  );
  const last: [string, readonly number[]][] = head === embedding ? [] : [[head, table]];
  return [[embedding, table], ...layers.flat(), [norm, [config.hiddenSize]], ...last];
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

/** Loads a Hugging Face checkpoint folder. Throws InvalidConfiguration for one that cannot be used. */
export function loadNetwork(folder: string): Network {
  const raw = readConfig(folder);
  const architecture = architectureOf(raw);
  const variables = loadVariables(folder, architecture);
  const byName = new Map(variables.map((variable) => [variable.name, variable]));
  const value = (name: string): Tensor => (byName.get(name) as Variable).read();
  const blockNames = Object.keys(architecture.blockShapes);
  const layerNames = (layer: number): string[] => blockNames.map((name) => architecture.prefix(layer) + name);
  const readHead = (): HeadWeights => ({
    norm: value(architecture.norm),
    projection: value(architecture.head),
    epsilon: architecture.config.normEpsilon,
  });

  const embed = (layout: Layout): Tensor => {
    const tokens = tensor(layout.tokens, [layout.tokens.length], 'int32');
    const gather = ([table, ids]: Tensor[]): Tensor[] => [ops.gather(table as Tensor, ids as Tensor)];
    return scope(() => compile('embedding', gather, [value(architecture.embedding), tokens])[0] as Tensor);
  };
  const block = (layout: Layout): Block =>
    blockFor(architecture, layout.segments, rotationOf(architecture, layout.positions));
  /** Reads a layer's weights only for the call: a read that stays alive would make the update copy them. */
  const withWeights = <T>(layer: number, f: (weights: Tensor[]) => T): T =>
    scope(() => f(layerNames(layer).map(value)));

  const forward: Network['forward'] = (layout) => {
    const one = block(layout);
    let x = embed(layout);
    for (let layer = 0; layer < architecture.config.layers; layer++) {
      const { output, saved } = withWeights(layer, (weights) => one.forward(x, weights));
      free(x, ...saved);
      x = output;
    }
    return { output: x, weights: readHead() };
  };

  const backpropagate: Network['backpropagate'] = (layout, head, sink) => {
    const one = block(layout);
    const kept: { x: Tensor; saved: Tensor[] }[] = [];
    let x = embed(layout);
    for (let layer = 0; layer < architecture.config.layers; layer++) {
      const { output, saved } = withWeights(layer, (weights) => one.forward(x, weights));
      kept.push({ x, saved });
      x = output;
    }
    let dx = headGradients(layout, x, head);
    free(x);
    for (let layer = architecture.config.layers - 1; layer >= 0; layer--) {
      const { x: input, saved } = kept.pop() as { x: Tensor; saved: Tensor[] };
      const [dInput, ...gradients] = withWeights(layer, (weights) => one.backward(dx, input, saved, weights));
      free(dx, input, ...saved);
      layerNames(layer).forEach((name, i) => sink(name, gradients[i] as Tensor));
      dx = dInput as Tensor;
    }
    sink(architecture.embedding, embeddingGradient(layout, dx));
    free(dx);

    function headGradients(of: Layout, output: Tensor, call: HeadCall): Tensor {
      let sum: Tensor | undefined;
      for (const group of of.heads) {
        const [part, dNorm, dProjection] = scope(() => call(group, output, readHead())) as [Tensor, Tensor, Tensor];
        sink(architecture.norm, dNorm);
        sink(architecture.head, dProjection);
        const before = sum;
        sum = before === undefined ? part : ops.add(before, part);
        if (before !== undefined) free(before, part);
      }
      return sum as Tensor;
    }
  };

  const embeddingGradient = (layout: Layout, dx: Tensor): Tensor => {
    const ids = tensor(layout.tokens, [layout.tokens.length], 'int32');
    const rows = architecture.config.vocabSize;
    const spread = ([gradient, at]: Tensor[]): Tensor[] => [ops.segmentSum(gradient as Tensor, at as Tensor, rows)];
    return compile('embedding backward', spread, [dx, ids])[0] as Tensor;
  };

  return { raw, architecture, variables, readHead, forward, backpropagate };
}
