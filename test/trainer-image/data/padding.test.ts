import { describe, expect, test } from '@jest/globals';
import { layOut } from '../../../trainer-image/data/layout.ts';
import { padLayout } from '../../../trainer-image/data/padding.ts';
import { roundedUp, setRoundedShapes } from '../../../trainer-image/engine/shapes.ts';

const ids = (...values: number[]): Int32Array => Int32Array.from(values);

describe('a padded layout', () => {
  const layout = layOut(
    [
      { prompt: ids(1, 2), completions: [ids(3), ids(4, 5)] },
      { prompt: ids(6), completions: [ids(7, 8, 9), ids(10)] },
    ],
    Infinity,
  );
  const byTwo = (length: number): number => 2 * Math.ceil(length / 2);
  const padded = padLayout(layout, ids(4, 4, 4, 4, 4, 4, 4, 4, 4, 4), byTwo);

  test('fills prompts and answers up behind to the longest, rounded', () => {
    expect([...padded.tokens]).toEqual([1, 2, 3, 0, 0, 0, 4, 5, 0, 0, 6, 0, 7, 8, 9, 0, 10, 0, 0, 0]);
    expect(padded.padding).toMatchObject({ groups: 2, prompt: 2, answers: 2, answer: 4 });
  });

  test('keeps each token at its position, and calls padding by -1', () => {
    expect([...(padded.padding?.places ?? [])]).toEqual([
      0, 1, 2, -1, -1, -1, 2, 3, -1, -1, 0, -1, 1, 2, 3, -1, 1, -1, -1, -1,
    ]);
    expect([...padded.positions]).toEqual([0, 1, 2, 0, 0, 0, 2, 3, 0, 0, 0, 0, 1, 2, 3, 0, 1, 0, 0, 0]);
  });

  test('has the rows that predict the answers where they now are', () => {
    expect([...padded.heads[0]!.rows]).toEqual([1, 1, 6, 10, 12, 13, 10]);
    expect([...padded.heads[0]!.labels]).toEqual([3, 4, 5, 7, 8, 9, 10]);
  });
});

describe('lengths', () => {
  test('stay what they are, unless shapes are rounded: then few remain', () => {
    expect([1, 17, 700].map(roundedUp)).toEqual([1, 17, 700]);
    setRoundedShapes(true);
    try {
      expect([1, 16, 17, 24, 25, 33, 48, 49, 97, 192, 193, 700].map(roundedUp)).toEqual([
        16, 16, 24, 24, 32, 48, 48, 64, 128, 192, 256, 768,
      ]);
    } finally {
      setRoundedShapes(false);
    }
  });
});
