import { backoffSeconds } from './backoff.ts';

const firstRetry = 0.05;
const longestRetry = 300;
/** Longest timer; a later time is looked at again then. */
const longestTimer = 86_400;

/** Told what happens in the queue, for metrics. */
export interface QueueObserver {
  added(): void;
  depth(keys: number): void;
  waited(seconds: number): void;
  retried(): void;
}

/**
 * Keys to be worked on. A key waits once however often it is added; one that is added while it is worked on comes again
 * afterwards; the same key is never worked on twice at a time. Failed keys wait longer each time, each for itself.
 */
export class WorkQueue {
  /** Waiting keys in their order, with the time they were added. */
  readonly #waiting = new Map<string, number>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  readonly #observer: QueueObserver | undefined;
  #closed = false;

  constructor(observer?: QueueObserver) {
    this.#observer = observer;
  }

  add(key: string): void {
    if (this.#closed || this.#waiting.has(key)) return;
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#waiting.set(key, performance.now());
    this.#observer?.added();
    this.#observer?.depth(this.#waiting.size);
    this.#hand();
  }

  /** Adds the key after some seconds; of several times asked for, the earliest counts. */
  addAfter(key: string, seconds: number): void {
    if (this.#closed) return;
    const at = performance.now() + seconds * 1000;
    const before = this.#timers.get(key);
    if (before !== undefined && before.at <= at) return;
    clearTimeout(before?.timer);
    const fire = (): void => {
      this.#timers.delete(key);
      this.add(key);
    };
    this.#timers.set(key, { at, timer: setTimeout(fire, Math.min(seconds, longestTimer) * 1000) });
  }

  /** The next key, when there is one; undefined once closed. Each is to be given back by done(). */
  take(): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#takers.push(resolve);
    this.#hand();
    return promise;
  }

  done(key: string): void {
    this.#running.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  /** The work on a key failed: it comes again after its own back-off, or later if the server asked for more. */
  retry(key: string, atLeast = 0): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#observer?.retried();
    this.addAfter(key, Math.max(atLeast, backoffSeconds(failures, firstRetry, longestRetry)));
  }

  /** The work on a key succeeded: its next failure is a first one. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Nothing is left to be done for the key: neither later nor again. */
  drop(key: string): void {
    this.forget(key);
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
  }

  /** Takes nothing more and lets takers go. */
  close(): void {
    this.#closed = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#waiting.clear();
    for (const give of this.#takers.splice(0)) give(undefined);
  }

  #hand(): void {
    if (this.#closed) {
      for (const give of this.#takers.splice(0)) give(undefined);
      return;
    }
    const [next] = this.#waiting;
    if (next === undefined || this.#takers.length === 0) return;
    const [key, since] = next;
    this.#waiting.delete(key);
    this.#running.add(key);
    this.#observer?.depth(this.#waiting.size);
    this.#observer?.waited((performance.now() - since) / 1000);
    this.#takers.shift()?.(key);
  }
}
