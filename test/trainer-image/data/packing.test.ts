import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { array, assert, constant, integer, property, record } from 'fast-check';
import { packBlocks } from '../../../trainer-image/data/packing.ts';

/** Made by test/python/packing.py with TRL: which of two examples of one length is where is left open. */
const golden = JSON.parse(readFileSync('test/golden/trl/packing.json', 'utf8')) as {
  capacity: number;
  lengths: number[];
  blocks: number[][];
}[];
const canonical = (blocks: number[][]): string[] =>
  blocks.map((block) => block.toSorted((a, b) => a - b).join()).toSorted();

describe('packing', () => {
  const cases: [string, number[], number, number[][]][] = [
    // 8 opens a block, 4 a second that takes the other 4; 2 fills the first; both ones go into the second.
    [
      'puts the longest first, each where it leaves least room',
      [4, 8, 1, 4, 2, 1],
      10,
      [
        [0, 2, 3, 5],
        [1, 4],
      ],
    ],
    // 7 and 6 open blocks with 3 and 4 left: 4 fits in the second only, 3 then fills the first.
    [
      'fills a block to its last token',
      [7, 3, 6, 4],
      10,
      [
        [0, 1],
        [2, 3],
      ],
    ],
    ['keeps an item as long as a block alone', [10, 1, 10], 10, [[0], [1], [2]]],
    ['makes nothing of nothing', [], 10, []],
  ];
  test.each(cases)('%s', (_, lengths, capacity, blocks) => {
    expect(packBlocks(lengths, capacity)).toEqual(blocks);
  });

  test.each(golden)("fills a block of $capacity as TRL's bfd does", ({ lengths, capacity, blocks }) => {
    const own = packBlocks(lengths, capacity).map((block) => block.map((item) => lengths[item] as number));
    expect(canonical(own)).toEqual(canonical(blocks));
  });

  test('refuses an item longer than a block', () => {
    expect(() => packBlocks([11], 10)).toThrow('an item of 11 does not fit in a block of 10');
  });

  test('loses nothing, repeats nothing, overfills no block, and never leaves two blocks that would fit in one', () => {
    const inputs = integer({ min: 1, max: 300 }).chain((capacity) =>
      record({ capacity: constant(capacity), lengths: array(integer({ min: 1, max: capacity })) }),
    );
    assert(
      property(inputs, ({ lengths, capacity }) => {
        const blocks = packBlocks(lengths, capacity);
        const sizes = blocks
          .map((block) => block.reduce((sum, item) => sum + (lengths[item] as number), 0))
          .toSorted((a, b) => a - b);
        expect(blocks.flat().toSorted((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        expect(sizes.every((size) => size <= capacity)).toBe(true);
        if (sizes.length > 1) expect((sizes[0] as number) + (sizes[1] as number)).toBeGreaterThan(capacity);
      }),
    );
  });
});
