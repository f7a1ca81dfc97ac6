import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { loadPairs } from '../../../trainer-image/data/load.ts';
import type { Pair } from '../../../trainer-image/data/pair.ts';
import { joined, pairForm, TokenRows } from '../../../trainer-image/data/token-rows.ts';
import type { Tokenizer } from '../../../trainer-image/data/tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'token-rows-'));
/** A pair whose tokens tell its row, of lengths that differ; token ids over 2^16 and the largest row number. */
const pair = (row: number): Pair => ({
  row,
  prompt: Int32Array.from({ length: 1 + (row % 7) }, (_, i) => 100_000 + row + i),
  chosen: Int32Array.from({ length: 1 + (row % 5) }, () => 2 ** 31 - 1),
  rejected: Int32Array.of(row % 3),
});
/** As one text: comparing so many objects would take jest seconds. */
const plain = ({ row, prompt, chosen, rejected }: Pair): string =>
  [row, prompt.join(), chosen.join(), rejected.join()].join('; ');
const filled = (count: number): { rows: TokenRows<Pair>; array: Pair[] } => {
  const rows = new TokenRows(pairForm, folder);
  const array = Array.from({ length: count }, (_, i) => pair(3 * i + 1));
  for (const each of array) rows.push(each);
  return { rows, array };
};

describe('rows in a file are what an array would hold', () => {
  // Several windows of 2^18 words: records lie across their borders.
  const { rows, array } = filled(40_000);

  test('in their order, by index, and counted', () => {
    expect(rows.length).toBe(array.length);
    expect([...rows].map(plain).join('\n') === array.map(plain).join('\n')).toBe(true);
    for (const i of [0, 1, 20_001, 39_999, -1]) expect(plain(rows.at(i) as Pair)).toEqual(plain(array.at(i) as Pair));
    expect([rows.at(40_000), rows.at(-40_001)]).toEqual([undefined, undefined]);
  });

  test('mapped, filtered and joined', () => {
    const even = ({ row }: Pair): boolean => row % 2 === 0;
    const kept = rows.filter(even);
    expect(kept.map(plain).join('\n') === array.filter(even).map(plain).join('\n')).toBe(true);
    expect(plain(kept.at(-1) as Pair)).toEqual(plain(array.filter(even).at(-1) as Pair));
    expect(rows.map(({ row }, i) => row - 3 * i)).toEqual(array.map(() => 1));
    const both = joined<Pair>(kept, [pair(5)]);
    expect([both.length, [...both].at(-1)?.row]).toEqual([kept.length + 1, 5]);
  });

  test('while more are added', () => {
    const growing = filled(3).rows;
    expect(growing.at(2)?.row).toBe(7);
    growing.push(pair(99));
    expect([growing.at(3)?.row, growing.at(0)?.row, [...growing].length]).toEqual([99, 1, 4]);
  });

  test('with a record that is larger than a window', () => {
    const large = new TokenRows(pairForm, folder);
    const prompt = Int32Array.from({ length: 600_000 }, (_, i) => i);
    for (const row of [1, 2]) large.push({ ...pair(row), prompt });
    expect([...large].map((each) => [each.row, each.prompt.length, each.prompt.at(-1)])).toEqual([
      [1, 600_000, 599_999],
      [2, 600_000, 599_999],
    ]);
  });

  test('and leave no file behind, even while they are used', () => {
    expect(readdirSync(folder)).toEqual([]);
  });
});

test('memory does not grow with the data set: 12 bytes a pair stay', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  // One token of 4 bytes per character: 4,000 pairs of 2,000 tokens are 32 MB as arrays.
  const tokenizer = { eosToken: '$', encode: (text: string) => Array.from(text, (c) => c.charCodeAt(0)) } as Tokenizer;
  const row = (i: number): string =>
    JSON.stringify({ prompt: `${i} ${'p'.repeat(1000)}`, chosen: 'c'.repeat(500), rejected: 'r'.repeat(500) });
  const file = join(folder, 'large.jsonl');
  writeFileSync(file, Array.from({ length: 4000 }, (_, i) => row(i)).join('\n'));
  const options = { columns: { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' }, maxLength: 1e6, holdout: 0 };
  await loadPairs(file, tokenizer, { ...options, folder, maxPairs: 10 });
  const before = used();
  const { train } = await loadPairs(file, tokenizer, { ...options, folder });
  const grown = used() - before;
  expect(train.length).toBe(4000);
  expect(train.at(3999)?.prompt.length).toBe(1005);
  // Two write buffers of 1 MiB, the index, and what jest itself does meanwhile: far from the 32 MB of arrays.
  expect(grown).toBeLessThan(12e6);
}, 30_000);
