import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FiguresBudget, secondsPerJob, writesPerSecond } from '../../../operator/loop/figures-budget.ts';
import { WorkQueue } from '../../../operator/loop/queue.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A worker that is done with each key at once, and what it took so far. */
function work(queue: WorkQueue): string[] {
  const taken: string[] = [];
  const loop = async (): Promise<void> => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      taken.push(key);
      queue.done(key);
    }
  };
  void loop();
  return taken;
}

describe('the work queue', () => {
  test('a key waits once however often it is added, in the order of the first time', async () => {
    const queue = new WorkQueue();
    for (const key of ['b', 'a', 'b', 'a']) queue.add(key);
    expect([await queue.take(), await queue.take()]).toEqual(['b', 'a']);
  });

  test('a key that is added while it is worked on comes again afterwards, never at the same time', async () => {
    const queue = new WorkQueue();
    queue.add('a');
    await queue.take();
    queue.add('a');
    queue.add('a');
    let second: string | undefined;
    const taking = queue.take().then((key) => (second = key));
    await jest.advanceTimersByTimeAsync(1000);
    expect(second).toBeUndefined();
    queue.done('a');
    await taking;
    expect(second).toBe('a');
  });

  test('of several times the earliest counts', async () => {
    const queue = new WorkQueue();
    const taken = work(queue);
    queue.addAfter('a', 60);
    queue.addAfter('a', 5);
    queue.addAfter('a', 30);
    await jest.advanceTimersByTimeAsync(4900);
    expect(taken).toEqual([]);
    await jest.advanceTimersByTimeAsync(200);
    expect(taken).toEqual(['a']);
    await jest.advanceTimersByTimeAsync(120_000);
    expect(taken).toEqual(['a']);
  });

  test('a failing key waits longer each time, and no other waits with it', async () => {
    const queue = new WorkQueue();
    const waits: number[] = [];
    for (let failure = 0; failure < 12; failure++) {
      queue.retry('poison');
      const started = Date.now();
      const taking = queue.take();
      queue.add('good');
      expect(await taking).toBe('good');
      queue.done('good');
      const poison = queue.take();
      while (jest.getTimerCount() > 0) await jest.advanceTimersToNextTimerAsync();
      expect(await poison).toBe('poison');
      queue.done('poison');
      waits.push((Date.now() - started) / 1000);
    }
    expect(waits[0]).toBeLessThan(0.1);
    expect(waits[8]).toBeGreaterThan(5 * (waits[3] ?? 0));
    queue.forget('poison');
    queue.retry('poison');
    await jest.advanceTimersByTimeAsync(100);
    expect(await queue.take()).toBe('poison');
  });

  test('waits for what the server asked', async () => {
    const queue = new WorkQueue();
    const taken = work(queue);
    queue.retry('a', 20);
    await jest.advanceTimersByTimeAsync(19_000);
    expect(taken).toEqual([]);
    await jest.advanceTimersByTimeAsync(2000);
    expect(taken).toEqual(['a']);
  });

  test('a key that is dropped has no timer, and its next failure is a first one', async () => {
    const queue = new WorkQueue();
    queue.addAfter('a', 60);
    queue.drop('a');
    expect(jest.getTimerCount()).toBe(0);
    for (let failure = 0; failure < 9; failure++) queue.retry('a');
    queue.drop('a');
    queue.retry('a');
    await jest.advanceTimersByTimeAsync(100);
    expect(await queue.take()).toBe('a');
  });

  test('a closed queue lets its takers go and keeps no timer', async () => {
    const queue = new WorkQueue();
    const taking = queue.take();
    queue.addAfter('a', 60);
    queue.close();
    expect(await taking).toBeUndefined();
    expect(jest.getTimerCount()).toBe(0);
    queue.add('b');
    expect(await queue.take()).toBeUndefined();
  });
});

describe('the budget of figures', () => {
  test('a job writes once in its interval', () => {
    let now = 100;
    const budget = new FiguresBudget(() => now);
    expect(budget.until('a')).toBe(0);
    budget.wrote('a');
    now += 4;
    expect(budget.until('a')).toBeCloseTo(secondsPerJob - 4);
    now += 6;
    expect(budget.until('a')).toBe(0);
  });

  test('all jobs together write no more than the cap', () => {
    let now = 0;
    const budget = new FiguresBudget(() => now);
    let written = 0;
    for (; now < 10; now += 0.01) {
      for (let job = 0; job < 500; job++) {
        if (budget.until(`${job}`) > 0) continue;
        budget.wrote(`${job}`);
        written += 1;
      }
    }
    expect(written).toBeGreaterThanOrEqual(10 * writesPerSecond);
    expect(written).toBeLessThanOrEqual(11 * writesPerSecond + 1);
  });

  test('thousands that wait ask once and again at their turn, each in its own', () => {
    let now = 0;
    const budget = new FiguresBudget(() => now);
    const jobs = Array.from({ length: 1000 }, (_, job) => String(job));
    const waits = jobs.map((job) => budget.until(job));
    now = 1;
    // To ask before its turn moves nobody.
    expect(jobs.map((job) => Math.round(1e6 * (budget.until(job) + now)))).toEqual(
      waits.map((wait) => Math.round(1e6 * Math.max(now, wait))),
    );
    for (const [i, job] of jobs.entries()) {
      now = Math.max(now, waits[i] as number);
      expect(budget.until(job)).toBe(0);
      budget.wrote(job);
    }
    expect(now).toBeCloseTo(jobs.length / writesPerSecond - 1, 0);
  });
});
