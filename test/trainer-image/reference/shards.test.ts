import { expect, test } from '@jest/globals';
import type { Pair } from '../../../trainer-image/data/pair.ts';
import { pairTokens } from '../../../trainer-image/model/groups.ts';
import { eachShard } from '../../../trainer-image/reference/shards.ts';

const made = (row: number): Pair => ({
  row,
  prompt: Int32Array.of(row, 1, 2),
  chosen: Int32Array.of(3, row),
  rejected: Int32Array.of(4, 5, row),
});
const pairs = Array.from({ length: 3000 }, (_, row) => made(row));
const shards = [...eachShard(pairs, 40)];

test('every pair is in one shard, in order', () => {
  expect(shards.flatMap((shard) => shard.pairs)).toEqual(pairs);
});

test('a shard has between four and eight micro-batches, except for the last one', () => {
  for (const shard of shards.slice(0, -1)) {
    const tokens = shard.pairs.reduce((sum, pair) => sum + pairTokens(pair), 0);
    expect(tokens).toBeGreaterThanOrEqual(4 * 40);
    expect(tokens).toBeLessThan(8 * 40 + pairTokens(made(0)));
  }
});

test('a row that is left out changes the shards around it only', () => {
  const before = new Set(shards.map(({ digest }) => digest));
  const after = [...eachShard(pairs.toSpliced(1000, 1), 40)];
  const other = after.filter(({ digest }) => !before.has(digest));
  expect(other.length).toBeGreaterThan(0);
  expect(other.length).toBeLessThan(shards.length / 20);
});

const change = (part: 'prompt' | 'chosen' | 'rejected', tokens: number[]): Pair => ({
  ...made(7),
  [part]: Int32Array.from(tokens),
});
test.each([
  ['another token of the prompt', change('prompt', [7, 1, 3])],
  ['another token of an answer', change('rejected', [4, 5, 8])],
  ['the same tokens with another end of the prompt', { ...change('prompt', [7, 1]), chosen: Int32Array.of(2, 3, 7) }],
])('%s is another shard', (_, pair) => {
  const digestOf = (each: Pair): string | undefined => [...eachShard([each], 40)][0]?.digest;
  expect(digestOf(pair)).not.toBe(digestOf(made(7)));
  expect(digestOf({ ...made(7), row: 99 })).toBe(digestOf(made(7)));
});
