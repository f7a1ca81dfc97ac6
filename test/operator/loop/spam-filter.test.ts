import { expect, test } from '@jest/globals';
import { SpamFilter } from '../../../operator/loop/spam-filter.ts';

test('of one object 25 Events may come at once, then one each five minutes; others are not held back by it', () => {
  let now = 1000;
  const filter = new SpamFilter(() => now);
  const admitted = (uid: string, tries: number): number =>
    Array.from({ length: tries }, () => filter.admits(uid)).filter(Boolean).length;
  expect(admitted('noisy', 100)).toBe(25);
  expect(admitted('calm', 1)).toBe(1);
  now += 299;
  expect(admitted('noisy', 1)).toBe(0);
  now += 1;
  expect(admitted('noisy', 2)).toBe(1);
  now += 25 * 300;
  expect(admitted('noisy', 100)).toBe(25);
});
