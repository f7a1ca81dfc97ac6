import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { shared } from '../../../operator/serve/shared.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test('however many ask within a second, it is made once, and then anew', async () => {
  let made = 0;
  const ask = shared(async () => ({ made: ++made }));
  const [first, second] = await Promise.all([ask(), ask()]);
  expect(second).toBe(first);
  await jest.advanceTimersByTimeAsync(900);
  expect(await ask()).toBe(first);
  await jest.advanceTimersByTimeAsync(200);
  expect([await ask(), await ask()]).toEqual([{ made: 2 }, { made: 2 }]);
});

test('while it takes longer than a second nobody begins it again', async () => {
  let made = 0;
  const ask = shared(async () => {
    made += 1;
    await new Promise((resolve) => setTimeout(resolve, 5000));
    return made;
  });
  const asked = [ask()];
  await jest.advanceTimersByTimeAsync(3000);
  asked.push(ask());
  await jest.advanceTimersByTimeAsync(3000);
  expect(await Promise.all(asked)).toEqual([1, 1]);
});

test('a failure is told to all who asked, and is over after a second', async () => {
  let made = 0;
  const ask = shared(() => (++made === 1 ? Promise.reject(new Error('broken')) : Promise.resolve(made)));
  await expect(Promise.all([ask(), ask()])).rejects.toThrow('broken');
  await jest.advanceTimersByTimeAsync(1100);
  expect(await ask()).toBe(2);
});
