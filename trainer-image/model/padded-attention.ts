import { rowsOfGroup, type Shape } from '../data/padding.ts';
import { constant, ops, type Tensor } from '../engine/engine.ts';
import { rotated, type Attend, type Heads } from './attention.ts';
import { batchProduct, product, widened } from './products.ts';

/** Part of a group that each of its rows belongs to: 0 for the prompt, then a number for each answer. */
function partsOf({ prompt, answers, answer }: Shape): number[] {
  const own = Array.from({ length: answers }, (_, i) => Array<number>(answer).fill(i + 1));
  return [...Array<number>(prompt).fill(0), ...own.flat()];
}

/**
 * 0 where a row may see another, else -1e9: [groups, 1, rows, rows] from `places` [groups, rows]. A row sees no padding,
 * nothing behind itself or before its window, and of its group the prompt and its own answer.
 */
function bias(shape: Shape, places: Tensor, window: number | undefined): Tensor {
  const rows = rowsOfGroup(shape);
  const parts = partsOf(shape);
  const numbers = (values: number[], of: number[]): Tensor => ops.reshape(constant(values, [rows], 'float32'), of);
  const [query, key] = [
    ops.reshape(places, [shape.groups, 1, rows, 1]),
    ops.reshape(places, [shape.groups, 1, 1, rows]),
  ];
  const hide = (visible: Tensor, from: Tensor): Tensor => ops.where(visible, from, ops.scalar(-1e9));
  const shift = (by: number): Tensor => ops.add(key, constant([by], [1], 'float32'));
  // The prompt counts as a part behind all others too: everyone sees it.
  const [asker, seen] = [
    numbers(parts, [rows, 1]),
    numbers(
      parts.map((part) => part || shape.answers),
      [1, rows],
    ),
  ];
  const apart = hide(
    ops.greaterEqual(asker, numbers(parts, [1, rows])),
    hide(ops.greaterEqual(seen, asker), ops.scalar(0)),
  );
  const causal = hide(ops.greaterEqual(query, key), apart);
  const within = window === undefined ? causal : hide(ops.greaterEqual(shift(window - 1), query), causal);
  return hide(ops.greaterEqual(key, constant([0], [1], 'float32')), within);
}

/**
 * Attention of a padded layout: all groups and heads in one product, as a GPU wants them, where `attention` takes each part
 * at its own length. Same result on every row that is no padding; `places` [groups, rows] as in `Padding`.
 */
export const paddedAttention =
  (shape: Shape, places: Tensor): Attend =>
  (tape, qkv, heads, options = {}) => {
    const { q, k, v } = rotated(tape, qkv, heads, options.rotation);
    const { precision } = tape;
    const { groups } = shape;
    const rows = rowsOfGroup(shape);
    const scale = (): Tensor => ops.scalar(options.scale ?? 1 / Math.sqrt(heads.size));
    const { apart, together } = arrangement(groups, rows, heads);
    const parts = () => ({ q: apart(q, heads.query), k: apart(k, heads.keyValue), v: apart(v, heads.keyValue) });
    const weights = (queries: Tensor, keys: Tensor): Tensor => {
      const scores = ops.mul(product(batchProduct(precision, [queries, keys], false, true)), scale());
      const byHead = ops.reshape(scores, [groups, heads.query, rows, rows]);
      return ops.reshape(ops.softmax(ops.add(byHead, bias(shape, places, options.window))), scores.shape);
    };
    const compute = (): Tensor => {
      const p = parts();
      return together(batchProduct(precision, [weights(p.q, p.k), p.v]), heads.query);
    };
    const backward = (dy: Tensor): Tensor[] => {
      const p = parts();
      const attended = weights(p.q, p.k);
      const dOutput = apart(dy, heads.query);
      const dAttended = product(batchProduct(precision, [dOutput, p.v], false, true));
      const mean = ops.sum(ops.mul(dAttended, attended), 2);
      const dScores = ops.mul(ops.mul(attended, ops.sub(dAttended, mean)), scale());
      return [
        together(product(batchProduct(precision, [dScores, p.k])), heads.query),
        together(product(batchProduct(precision, [dScores, p.q], true)), heads.keyValue),
        together(product(batchProduct(precision, [attended, dOutput], true)), heads.keyValue),
      ];
    };
    return widened(tape, tape.run({ inputs: [q, k, v], needs: [q, k, v], costly: 'most', compute, backward }));
  };

/** [n, heads * size] <-> [groups * key heads, (heads / key heads) * rows, size]. */
function arrangement(groups: number, rows: number, { keyValue, size }: Heads) {
  const apart = (x: Tensor, heads: number): Tensor => {
    const byHead = ops.transpose(ops.reshape(x, [groups, rows, heads, size]), [0, 2, 1, 3]);
    return ops.reshape(byHead, [groups * keyValue, (heads / keyValue) * rows, size]);
  };
  const together = (x: Tensor, heads: number): Tensor => {
    const byRow = ops.transpose(ops.reshape(x, [groups, heads, rows, size]), [0, 2, 1, 3]);
    return ops.reshape(byRow, [groups * rows, heads * size]);
  };
  return { apart, together };
}
