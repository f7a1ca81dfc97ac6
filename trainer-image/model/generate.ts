import { layOut, microBatches, sumOf } from '../data/layout.ts';
import { compile, free, keep, ops, read, scope, type Tensor } from '../engine/engine.ts';
import { named, type LayerKind } from './architecture.ts';
import { decodeBlock, grow, prefillBlock, slotsOf, spread, type LayerCache, type Slots } from './cache.ts';
import { once, type Network } from './network.ts';
import type { Rotation } from './primitives.ts';
import { multiply } from './products.ts';
import { rotationOf, sequenceLengths, type Rope } from './rope.ts';
import { Tape } from './tape.ts';

/** Cache lengths are multiples of it, so that few functions are recorded. */
const block = 64;
const roundedUp = (length: number): number => Math.ceil(length / block) * block;

export interface GenerationOptions {
  maxNewTokens: number;
  /** Tokens that end an answer. */
  stop: ReadonlySet<number>;
  /** Prompt tokens computed at once. */
  budget: number;
  /** Called after each unit of work; may throw to stop. */
  beat: () => void;
  /** Sees the logits of each step, [prompts, vocabulary]. For tests. */
  onLogits?: (logits: Float32Array) => void;
}

/** An answer; the token that ended it is its last. */
export interface Generated {
  tokens: Int32Array;
  ended: boolean;
}

/** Logits of rows x [n, hidden], [n, vocabulary]. */
function logitsOf(network: Network, x: Tensor): Float32Array {
  return scope(() => {
    const { architecture, norm, projection } = network.readHead();
    const { finalNorm, id, precision } = architecture;
    const run = ([rows, table, ...gains]: Tensor[]): Tensor[] => {
      const normed = finalNorm.apply(new Tape(precision), rows as Tensor, named(finalNorm.shapes, gains));
      return [multiply(precision, [normed, table as Tensor], false, true)];
    };
    return read(compile(`${id} logits`, run, [x, projection, ...norm])[0] as Tensor) as Float32Array;
  });
}

/** The likeliest token of each row. */
function likeliest(logits: Float32Array, vocabulary: number): Int32Array {
  return Int32Array.from({ length: logits.length / vocabulary }, (_, row) => {
    let best = row * vocabulary;
    for (let i = best; i < (row + 1) * vocabulary; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
    return best - row * vocabulary;
  });
}

/**
 * Greedy answers of all prompts together. A step costs one token of each: keys and values of earlier tokens are kept.
 * Where a rope depends on the length (dynamic, longrope), earlier keys stay as they were turned, as in transformers.
 */
export function generate(network: Network, prompts: readonly Int32Array[], options: GenerationOptions): Generated[] {
  const session = new Session(network, prompts, options);
  const answers: number[][] = prompts.map(() => []);
  const hasEnded = (answer: number[]): boolean => options.stop.has(answer.at(-1) ?? -1);
  try {
    let logits = session.prefill();
    for (let step = 0; step < options.maxNewTokens; step++) {
      options.onLogits?.(logits);
      const next = likeliest(logits, network.architecture.config.vocabSize);
      answers.forEach((answer, i) => hasEnded(answer) || answer.push(next[i] as number));
      options.beat();
      if (step + 1 === options.maxNewTokens || answers.every(hasEnded)) break;
      logits = session.decode(next);
    }
  } finally {
    session.dispose();
  }
  return answers.map((answer) => ({ tokens: Int32Array.from(answer), ended: hasEnded(answer) }));
}

/** The caches of one call of `generate`. */
class Session {
  private readonly network: Network;
  private readonly prompts: readonly Int32Array[];
  private readonly options: GenerationOptions;
  private caches: LayerCache[] = [];
  /** Of each sequence: position of the token that comes next. */
  private positions: Int32Array;

  constructor(network: Network, prompts: readonly Int32Array[], options: GenerationOptions) {
    this.network = network;
    this.prompts = prompts;
    this.options = options;
    this.positions = Int32Array.from(prompts, (prompt) => prompt.length);
  }

  private get capacity(): number {
    return roundedUp(Math.max(...this.positions) + 1);
  }

  /** Takes the prompts in; logits of each one's last row. */
  prefill(): Float32Array {
    const batches = microBatches(
      this.prompts,
      sumOf(({ length }) => length),
      this.options.budget,
    );
    const parts = batches.map((batch) => {
      const part = scope(() => this.prefillBatch(batch));
      part.caches.forEach(({ keys, values }) => [keys, values].forEach(keep));
      this.options.beat();
      return part;
    });
    this.caches = Array.from({ length: this.network.architecture.config.layers }, (_, layer) =>
      joined(parts.map(({ caches }) => caches[layer] as LayerCache)),
    );
    return Float32Array.from(parts.flatMap(({ logits }) => [...logits]));
  }

  /** Takes one token of each sequence in; the logits after it. */
  decode(tokens: Int32Array): Float32Array {
    const { network, positions, capacity } = this;
    const logits = scope(() => {
      const slots = this.slots(capacity);
      let x = network.embed({ tokens, positions });
      for (const [layer, old] of this.caches.entries()) {
        const cache = old.keys.shape[2] === capacity ? old : grow(old, capacity);
        const kind = network.architecture.kind(layer);
        const at = slots(kind);
        const result = network.withWeights(layer, ({ values: weights }) =>
          decodeBlock(network.architecture, kind, at, { x, cache, weights }),
        );
        this.caches[layer] = { keys: keep(result.cache.keys), values: keep(result.cache.values) };
        free(old.keys, old.values);
        x = result.output;
      }
      return logitsOf(network, x);
    });
    this.positions = positions.map((position) => position + 1);
    return logits;
  }

  dispose(): void {
    for (const { keys, values } of this.caches) free(keys, values);
    this.caches = [];
  }

  private prefillBatch(batch: readonly Int32Array[]): { caches: LayerCache[]; logits: Float32Array } {
    const { network, capacity } = this;
    const layout = layOut(
      batch.map((prompt) => ({ prompt, completions: [] })),
      Infinity,
    );
    const lengths = batch.map(({ length }) => length);
    const rotation = once((rope: Rope): Rotation =>
      rotationOf(rope, layout.positions, sequenceLengths(layout.segments)),
    );
    let x = network.embed(layout);
    const caches = Array.from({ length: network.architecture.config.layers }, (_, layer) => {
      const kind = network.architecture.kind(layer);
      const turned = kind.rope && rotation(kind.rope);
      return scope(() => {
        const [output, keys, values] = network.withWeights(layer, ({ values: weights }) =>
          prefillBlock(network.architecture, kind, lengths, { x, rotation: turned, weights }),
        );
        free(x);
        x = keep(output);
        return { keys: spread(keys, lengths, capacity), values: spread(values, lengths, capacity) };
      });
    });
    const logits = logitsOf(network, lastRows(x, lengths));
    free(x);
    return { caches, logits };
  }

  /** One for all layers of a window and a rope. */
  private slots(capacity: number): (kind: LayerKind) => Slots {
    const { positions } = this;
    const lengths = positions.map((position) => position + 1);
    const rotation = once((rope: Rope): Rotation => rotationOf(rope, positions, lengths));
    const within = once((window: number | undefined) => slotsOf(positions, capacity, window));
    return ({ window, rope }) => ({ ...within(window), rotation: rope && rotation(rope) });
  }
}

/** The last row of each part of x [n, hidden]. */
function lastRows(x: Tensor, lengths: readonly number[]): Tensor {
  const parts = ops.split(x, lengths, 0).map((part, i) => {
    const length = lengths[i] as number;
    return length === 1 ? part : (ops.split(part, [length - 1, 1], 0)[1] as Tensor);
  });
  return ops.concat(parts, 0);
}

function joined(parts: readonly LayerCache[]): LayerCache {
  if (parts.length === 1) return parts[0] as LayerCache;
  const join = (tensors: Tensor[]): Tensor => {
    const whole = keep(ops.concat(tensors, 0));
    free(...tensors);
    return whole;
  };
  return { keys: join(parts.map(({ keys }) => keys)), values: join(parts.map(({ values }) => values)) };
}
