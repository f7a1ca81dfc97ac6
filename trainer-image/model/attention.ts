import type { Segments } from '../data/layout.ts';
import { kernels, ops, type Kernels, type Tensor } from '../engine/engine.ts';
import { rope, type Rotation } from './primitives.ts';
import { batchProduct, product, widened } from './products.ts';
import type { Tape } from './tape.ts';

export interface Heads {
  query: number;
  /** Each key and value head serves query / keyValue query heads (Ainslie et al. 2023). */
  keyValue: number;
  size: number;
}

export interface AttentionOptions {
  /** Positions that a token sees, itself counted: a sliding window (Beltagy et al. 2020). All before it if undefined. */
  window?: number | undefined;
  /** Factor of the scores; 1 / sqrt(head size) if undefined. */
  scale?: number | undefined;
  /** How queries and keys are rotated first; not at all if undefined. */
  rotation?: Rotation | undefined;
}

export interface QueriesKeysValues {
  q: Tensor;
  k: Tensor;
  v: Tensor;
}

/** Queries [n, query heads * size] attend to keys and values [n, key heads * size] -> [n, query heads * size]. */
export type Attend = (tape: Tape, qkv: QueriesKeysValues, heads: Heads, options?: AttentionOptions) => Tensor;

/** Queries and keys rotated, values as they are. */
export const rotated = (tape: Tape, { q, k, v }: QueriesKeysValues, heads: Heads, rotation?: Rotation) => ({
  q: rope(tape, q, heads.query, rotation),
  k: rope(tape, k, heads.keyValue, rotation),
  v,
});

/** One run of queries and what it may see: itself up to each position, and for an answer the whole prompt before it. */
interface Span {
  query: number;
  prompt?: number;
}

/** Parts in the layout's order: prompt, then answers, of each group. */
function spansOf(segments: readonly Segments[]): { sizes: number[]; spans: Span[] } {
  const sizes: number[] = [];
  const spans: Span[] = [];
  for (const group of segments) {
    const prompt = sizes.push(group.prompt) - 1;
    spans.push({ query: prompt });
    for (const length of group.completions) spans.push({ query: sizes.push(length) - 1, prompt });
  }
  return { sizes, spans };
}

/** [n, heads * size] -> per part [heads, length, size]. */
function split(x: Tensor, heads: number, sizes: readonly number[]): Tensor[] {
  const [n = 0, width = 0] = x.shape;
  return ops.split(ops.transpose(ops.reshape(x, [n, heads, width / heads]), [1, 0, 2]), sizes, 1);
}

/** Per part [heads, length, size] -> [n, heads * size]. */
function join(parts: readonly Tensor[]): Tensor {
  const joined = ops.transpose(ops.concat(parts, 1), [1, 0, 2]);
  const [n = 0, heads = 0, size = 0] = joined.shape;
  return ops.reshape(joined, [n, heads * size]);
}

/** Query heads that share a key head lie below each other: [query heads, length, d] <-> [key heads, g * length, d]. */
const fold = (x: Tensor, heads: Heads): Tensor =>
  ops.reshape(x, [heads.keyValue, ((x.shape[1] as number) * heads.query) / heads.keyValue, x.shape[2] as number]);
const unfold = (x: Tensor, heads: Heads): Tensor =>
  ops.reshape(x, [heads.query, ((x.shape[1] as number) * heads.keyValue) / heads.query, x.shape[2] as number]);

/**
 * Scores [key heads, g * length, prompt + length] where a query may see the key, else -1e9. `seen` positions up to a query
 * are visible, itself counted.
 */
function masked(scores: Tensor, prompt: number, length: number, seen: number): Tensor {
  const [heads = 0, rows = 0, columns = 0] = scores.shape;
  const byQuery = ops.reshape(scores, [(heads * rows) / length, length, columns]);
  const positions = (from: number): Tensor => ops.reshape(ops.range(from, from + length), [length, 1]);
  const keys = ops.range(0, columns);
  const hide = (visible: Tensor, from: Tensor): Tensor => ops.where(visible, from, ops.scalar(-1e9));
  const causal = hide(ops.greaterEqual(positions(prompt), keys), byQuery);
  const hidden = seen >= columns ? causal : hide(ops.greaterEqual(keys, positions(prompt - seen + 1)), causal);
  return ops.reshape(hidden, scores.shape);
}

/**
 * Causal scaled dot-product attention (Vaswani et al. 2017, eq. 1) within the groups of a micro-batch, each answer after
 * its prompt. Only here do a micro-batch's pairs know of each other's bounds.
 */
export function attention(segments: readonly Segments[]): Attend {
  const fused = kernels();
  return fused === undefined ? attentionOfOperations(segments) : fusedAttention(fused, segments);
}

/** One kernel forward and one backward: scores exist for some queries of a head at a time. */
const fusedAttention =
  (fused: Kernels, segments: readonly Segments[]): Attend =>
  (tape, { q, k, v }, heads, { window = 0, scale = 1 / Math.sqrt(heads.size), rotation } = {}) => {
    const parts = segments.flatMap(({ prompt, completions }) => [prompt, completions.length, ...completions]);
    const how = () => ({ rotation, layout: [heads.query, heads.keyValue, window, ...parts], scale });
    return tape.run({
      inputs: [q, k, v],
      needs: [q, k, v],
      costly: 'most',
      compute: () => fused.attention([q, k, v], how()),
      backward: (dy) => fused.attentionGradient([q, k, v], how(), dy),
    });
  };

const attentionOfOperations =
  (segments: readonly Segments[]): Attend =>
  (tape, qkv, heads, options = {}) => {
    const { q, k, v } = rotated(tape, qkv, heads, options.rotation);
    const { sizes, spans } = spansOf(segments);
    const scale = (): Tensor => ops.scalar(options.scale ?? 1 / Math.sqrt(heads.size));
    const parts = (): { q: Tensor[]; k: Tensor[]; v: Tensor[] } => ({
      q: split(q, heads.query, sizes),
      k: split(k, heads.keyValue, sizes),
      v: split(v, heads.keyValue, sizes),
    });
    const seen = (list: readonly Tensor[], { query, prompt }: Span): Tensor =>
      ops.concat(prompt === undefined ? [list[query] as Tensor] : [list[prompt] as Tensor, list[query] as Tensor], 1);
    const { precision } = tape;
    const weights = (queries: Tensor, keys: Tensor, { query, prompt }: Span): Tensor => {
      const before = prompt === undefined ? 0 : (sizes[prompt] as number);
      const scores = ops.mul(product(batchProduct(precision, [queries, keys], false, true)), scale());
      return ops.softmax(masked(scores, before, sizes[query] as number, options.window ?? Infinity));
    };
    const compute = (): Tensor => {
      const p = parts();
      const outputs = spans.map((span) => {
        const attended = weights(fold(p.q[span.query] as Tensor, heads), seen(p.k, span), span);
        return unfold(batchProduct(precision, [attended, seen(p.v, span)]), heads);
      });
      return join(outputs);
    };
    const backward = (dy: Tensor): Tensor[] => {
      const p = parts();
      const dOut = split(dy, heads.query, sizes);
      const dq: Tensor[] = [];
      const dk: Tensor[][] = sizes.map(() => []);
      const dv: Tensor[][] = sizes.map(() => []);
      for (const span of spans) {
        const [queries, keys, values] = [fold(p.q[span.query] as Tensor, heads), seen(p.k, span), seen(p.v, span)];
        const attended = weights(queries, keys, span);
        const dOutput = fold(dOut[span.query] as Tensor, heads);
        const dAttended = product(batchProduct(precision, [dOutput, values], false, true));
        const mean = ops.sum(ops.mul(dAttended, attended), 2);
        const dScores = ops.mul(ops.mul(attended, ops.sub(dAttended, mean)), scale());
        dq.push(unfold(product(batchProduct(precision, [dScores, keys])), heads));
        spread(dk, product(batchProduct(precision, [dScores, queries], true)), span);
        spread(dv, product(batchProduct(precision, [attended, dOutput], true)), span);
      }
      return [join(dq), join(dk.map((list) => ops.addN(list))), join(dv.map((list) => ops.addN(list)))];
    };
    /** A key of the prompt gathers the gradients of every answer that saw it. */
    const spread = (into: Tensor[][], gradient: Tensor, { query, prompt }: Span): void => {
      if (prompt === undefined) return void into[query]?.push(gradient);
      const [before, own] = ops.split(gradient, [sizes[prompt] as number, sizes[query] as number], 1) as [
        Tensor,
        Tensor,
      ];
      into[prompt]?.push(before);
      into[query]?.push(own);
    };
    return widened(tape, tape.run({ inputs: [q, k, v], needs: [q, k, v], costly: 'most', compute, backward }));
  };
