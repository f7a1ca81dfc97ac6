import { compile, ops, tensor, type Tensor } from '../engine/engine.ts';
import type { Architecture, Context, LayerKind } from './architecture.ts';
import { attention, rotated, type Attend } from './attention.ts';
import { inferBlock } from './block.ts';
import type { Rotation } from './primitives.ts';

/** Keys and values of a layer for P sequences: [P, key heads, capacity, head size] each, zero where none is yet. */
export interface LayerCache {
  keys: Tensor;
  values: Tensor;
}

/** Where the tokens of one decoding step stand, for one kind of layer. */
export interface Slots {
  /** 1 at each sequence's new position, else 0: [P, 1, capacity, 1]. */
  write: Tensor;
  /** 0 where the new token may look, else -1e9: [P, 1, 1, capacity]. */
  hidden: Tensor;
  rotation: Rotation | undefined;
}

const tablesOf = (rotation: Rotation | undefined): Tensor[] =>
  rotation === undefined ? [] : [rotation.cos, rotation.sin];

/** A block's context with another attention than that of training, from the list [...tables, ...weights]. */
function contextOf(kind: LayerKind, list: Tensor[], attend: Attend): { context: Context; parameters: Tensor[] } {
  const turns = kind.rope !== undefined;
  const rotation = turns ? { cos: list[0] as Tensor, sin: list[1] as Tensor } : undefined;
  return { context: { kind, rotation, attend }, parameters: list.slice(turns ? 2 : 0) };
}

/**
 * A block over whole prompts, one after the other: x [n, hidden] -> [output, keys, values] with keys and values as
 * [n, key heads, head size].
 */
export function prefillBlock(
  architecture: Architecture,
  kind: LayerKind,
  lengths: readonly number[],
  inputs: { x: Tensor; rotation: Rotation | undefined; weights: readonly Tensor[] },
): [Tensor, Tensor, Tensor] {
  const run = ([x, ...list]: Tensor[]): Tensor[] => {
    let seen: Tensor[] = [];
    const within = attention(lengths.map((prompt) => ({ prompt, completions: [] })));
    const attend: Attend = (tape, qkv, heads, { rotation, ...options } = {}) => {
      const turned = rotated(tape, qkv, heads, rotation);
      seen = [turned.k, turned.v].map((each) =>
        ops.reshape(each, [each.shape[0] as number, heads.keyValue, heads.size]),
      );
      return within(tape, turned, heads, options);
    };
    const { context, parameters } = contextOf(kind, list, attend);
    return [inferBlock(architecture, x as Tensor, parameters, context), ...seen];
  };
  const key = `${architecture.id} ${kind.name} prefill ${lengths.join(' ')}`;
  return compile(key, run, [inputs.x, ...tablesOf(inputs.rotation), ...inputs.weights]) as [Tensor, Tensor, Tensor];
}

/**
 * A block over the newest token of each sequence, which looks back into the cache: x [P, hidden] -> the output, and the
 * cache with the token's own key and value in it.
 */
export function decodeBlock(
  architecture: Architecture,
  kind: LayerKind,
  { write, hidden, rotation }: Slots,
  inputs: { x: Tensor; cache: LayerCache; weights: readonly Tensor[] },
): { output: Tensor; cache: LayerCache } {
  const run = ([x, oldKeys, oldValues, at, mask, ...list]: Tensor[]): Tensor[] => {
    let cache: Tensor[] = [];
    const attend: Attend = (tape, qkv, heads, options) => {
      const { q, k, v } = rotated(tape, qkv, heads, options?.rotation);
      const [p, group] = [q.shape[0] as number, heads.query / heads.keyValue];
      const put = (into: Tensor | undefined, own: Tensor): Tensor =>
        ops.add(into as Tensor, ops.mul(at as Tensor, ops.reshape(own, [p, heads.keyValue, 1, heads.size])));
      const [keys, values] = [put(oldKeys, k), put(oldValues, v)];
      cache = [keys, values];
      const scale = ops.scalar(options?.scale ?? 1 / Math.sqrt(heads.size));
      const queries = ops.reshape(q, [p, heads.keyValue, group, heads.size]);
      const scores = ops.add(ops.mul(ops.batchMatmul(queries, keys, false, true), scale), mask as Tensor);
      return ops.reshape(ops.batchMatmul(ops.softmax(scores), values), [p, heads.query * heads.size]);
    };
    const { context, parameters } = contextOf(kind, list, attend);
    return [inferBlock(architecture, x as Tensor, parameters, context), ...cache];
  };
  const { keys, values } = inputs.cache;
  const all = [inputs.x, keys, values, write, hidden, ...tablesOf(rotation), ...inputs.weights];
  const [output, newKeys, newValues] = compile(`${architecture.id} ${kind.name} decode`, run, all) as Tensor[];
  return { output: output as Tensor, cache: { keys: newKeys as Tensor, values: newValues as Tensor } };
}

const zeros = (shape: readonly number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape);

/** Rows of one after another prompt, [n, key heads, size] -> [prompts, key heads, capacity, size], zero behind each. */
export function spread(rows: Tensor, lengths: readonly number[], capacity: number): Tensor {
  const [, heads = 0, size = 0] = rows.shape;
  const padded = ops.split(rows, lengths, 0).map((part, i) => {
    const own = ops.transpose(part, [1, 0, 2]);
    const room = capacity - (lengths[i] as number);
    return ops.reshape(room === 0 ? own : ops.concat([own, zeros([heads, room, size])], 1), [1, heads, capacity, size]);
  });
  return ops.concat(padded, 0);
}

/** The cache with room for `capacity` positions. */
export function grow({ keys, values }: LayerCache, capacity: number): LayerCache {
  const [p = 0, heads = 0, present = 0, size = 0] = keys.shape;
  const longer = (old: Tensor): Tensor => ops.concat([old, zeros([p, heads, capacity - present, size])], 2);
  return { keys: longer(keys), values: longer(values) };
}

/** What a decoding step at these positions writes and sees in a cache of `capacity`, and within `window` if it is set. */
export function slotsOf(positions: Int32Array, capacity: number, window: number | undefined): Omit<Slots, 'rotation'> {
  const write = new Float32Array(positions.length * capacity);
  const hidden = new Float32Array(positions.length * capacity).fill(-1e9);
  positions.forEach((position, row) => {
    write[row * capacity + position] = 1;
    hidden.fill(0, row * capacity + Math.max(0, position - (window ?? Infinity) + 1), row * capacity + position + 1);
  });
  return {
    write: tensor(write, [positions.length, 1, capacity, 1]),
    hidden: tensor(hidden, [positions.length, 1, 1, capacity]),
  };
}
