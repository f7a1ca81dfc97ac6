import { describe, expect, test } from '@jest/globals';
import { array, assert, integer, property } from 'fast-check';
import { FirstPlaces, indexOf } from '../../../../trainer-image/data/quality/first-places.ts';

/** Few different numbers, so that many repeat; up to 2^53, as keys of rows are. */
const keys = array(
  integer({ min: 0, max: 9 }).map((n) => 2 ** 53 - 1 - n),
  { maxLength: 40 },
);

describe('the first place of a key', () => {
  test('is where looking through all of them finds it, whatever repeats', () => {
    assert(
      property(keys, (list) => {
        const first = new FirstPlaces(Float64Array.from(list));
        for (const key of [...list, 3]) expect(first.of(key) ?? -1).toBe(list.indexOf(key));
      }),
    );
  });

  test('is found among none', () => {
    expect(new FirstPlaces(new Float64Array()).of(1)).toBeUndefined();
  });
});

test('a number is found among rising ones, and none that is missing', () => {
  const rising = Uint32Array.of(2, 5, 5, 9);
  expect([1, 2, 5, 6, 9, 10].map((value) => indexOf(rising, value))).toEqual([-1, 0, 1, -1, 3, -1]);
});
