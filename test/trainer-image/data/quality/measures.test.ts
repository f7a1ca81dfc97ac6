import { describe, expect, test } from '@jest/globals';
import { labelNoise } from '../../../../trainer-image/data/quality/label-noise.ts';
import { biasedBeyond } from '../../../../trainer-image/data/quality/length-bias.ts';
import { PromptSample, triples } from '../../../../trainer-image/data/quality/prompt-diversity.ts';
import { lowerBound } from '../../../../trainer-image/data/quality/share.ts';
import { judged } from './rows.ts';

describe('length bias', () => {
  const pair = (chosen: number, rejected: number): string[] => ['p', 'a'.repeat(chosen), 'b'.repeat(rejected)];

  test.each([
    ['the longer answer always wins', [pair(2, 1), pair(9, 3)], 1],
    ['the shorter one always wins', [pair(1, 2), pair(3, 9)], 0],
    ['equal lengths leave the rule a guess', [pair(2, 2), pair(3, 3)], 0.5],
    ['three of four, counting a tie as half', [pair(2, 1), pair(3, 1), pair(1, 1), pair(4, 2)], 0.875],
  ])('%s', (_, rows, longerChosen) => {
    expect(judged(rows).lengthBias).toEqual({ longerChosen, pairs: rows.length });
  });

  test('counts whole answers, also where both are truncated to the same length', () => {
    expect(judged([pair(90, 80)], 20).lengthBias?.longerChosen).toBe(1);
  });

  test('is not measured on fine-tuning rows', () => {
    expect(judged([['p', 'a']]).lengthBias).toBeUndefined();
  });

  // 90 of 100: the 95 % interval begins at 0.8256 (worked by hand from Wilson's formula).
  test.each([
    [0.9, 100, 0.82, true],
    [0.9, 100, 0.83, false],
    [0.1, 100, 0.82, true],
    [0.9, 10, 0.7, false],
    [1, 4, 0.7, false],
  ])(
    'of %d over %d pairs, judged by %d: beyond is %s, whichever side wins',
    (longerChosen, pairs, threshold, beyond) => {
      expect(biasedBeyond({ longerChosen, pairs }, threshold)).toBe(beyond);
    },
  );
});

// Newcombe 1998, Statistics in Medicine 17, table I, method 3 (score interval without continuity correction).
test.each([
  [81, 263, 0.2553],
  [15, 148, 0.0624],
  [0, 20, 0],
  [1, 29, 0.0061],
])('the 95 %% interval of %d in %d begins at %d', (hits, total, low) => {
  expect(lowerBound(hits, total)).toBeCloseTo(low, 4);
});

describe('diversity of prompts', () => {
  test.each([
    ['all distinct', ['a', 'b', 'c', 'd'], 1],
    ['all one prompt, whatever its case', ['a b', 'A  b', 'a b ', 'a b'], 0.25],
    ['two of four', ['a', 'b', 'a', 'b'], 0.5],
  ])('%s', (_, prompts, share) => {
    expect(judged(prompts.map((prompt) => [prompt, 'x', 'y'])).promptDiversity).toBe(share);
  });

  test.each([
    ['words', 'how do i, then?', ['how do i', 'do i then']],
    ['fewer words than three', 'hello there', ['hello there']],
    ['a script without spaces', '你好吗今天', ['你 好 吗', '好 吗 今', '吗 今 天']],
  ])('is taken from triples of %s', (_, text, expected) => {
    expect(triples(text)).toEqual(expected);
  });

  test('a template filled in a hundred times shares its triples', () => {
    // Nine words make seven triples; those five without the thing itself are the same in every prompt.
    const prompts = Array.from({ length: 100 }, (_, i) => [
      `please tell me how to clean the thing${i} today`,
      'x',
      'y',
    ]);
    const { promptDiversity, ngramDiversity } = judged(prompts);
    expect(promptDiversity).toBe(1);
    expect(ngramDiversity).toBeCloseTo((5 + 2 * 100) / 700, 12);
  });

  test('does not count copies of a prompt as near-copies, and of a conversation only what is asked last', () => {
    const system = { role: 'system', content: 'you are a helpful assistant who knows everything' };
    const ask = (content: string): string[] => [[system, { role: 'user', content }], 'x', 'y'] as unknown as string[];
    const rows = ['one two three four', 'five six seven eight', 'one two three four'].map(ask);
    // "user one two", "one two three", "two three four", and likewise for the other.
    expect(judged(rows).ngramDiversity).toBe(1);
  });

  test('is taken from the end of a long prompt, where the question stands', () => {
    const words = Array.from({ length: 70 }, (_, i) => `w${i}`);
    expect(triples(words.join(' '))).toHaveLength(62);
    expect(triples(words.join(' '))[0]).toBe('w6 w7 w8');
  });

  test('takes the 1024 prompts with the smallest keys, in whatever order the rows come', () => {
    // Prompts 0, 1500, 3000 and 4500 are the same words, and so on: how many meet depends on the sample.
    const entries = Array.from({ length: 6000 }, (_, i) => ({ key: (i * 7919) % 6007, word: i % 1500 }));
    const sampled = (rows: typeof entries): number => {
      const sample = new PromptSample();
      for (const { key, word } of rows) sample.add(key, `word${word}`);
      return sample.distinctTriples();
    };
    const smallest = entries.toSorted((a, b) => a.key - b.key).slice(0, 1024);
    const expected = new Set(smallest.map(({ word }) => word)).size / 1024;
    expect([sampled(entries), sampled(entries.toReversed())]).toEqual([expected, expected]);
  });
});

describe('label noise', () => {
  const margin = (p: number): number => Math.log(p / (1 - p));

  // P(given label) of each pair; the threshold is their mean.
  test.each([
    ['0.54: all five reach it, two for the other label', [0.9, 0.8, 0.6, 0.3, 0.1], 2 / 5, 5],
    ['0.67: the undecided pair counts for neither', [0.9, 0.9, 0.9, 0.45, 0.2], 1 / 4, 4],
    ['0.6: every label is confirmed', [0.6, 0.6, 0.6], 0, 3],
    ['0.3: the reference contradicts what is given', [0.1, 0.2, 0.6], 2 / 3, 3],
  ])('with threshold %s', (_, given, noise, confident) => {
    const found = labelNoise(Float64Array.from(given, margin));
    expect(found.confident).toBe(confident);
    expect(found.noise).toBeCloseTo(noise, 12);
  });

  test.each([0, 0.1, 0.3, 0.9])('of %d flipped labels is found by a reference that knows them all', (share) => {
    const margins = Float64Array.from({ length: 100 }, (_, i) => (i < share * 100 ? -3 : 3) * (1 + i / 1000));
    expect(labelNoise(margins).noise).toBeCloseTo(share, 12);
  });
});
