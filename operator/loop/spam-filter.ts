/** Events of one object that may come at once, and seconds until one more may: client-go's limits. */
const burst = 25;
const secondsEach = 300;
/** Objects that are remembered. */
const remembered = 4096;

/** Holds back the Events of an object that has too many to tell: the API server keeps each for an hour. */
export class SpamFilter {
  readonly #clock: () => number;
  /** When an object has its whole burst again, seconds of the clock. */
  readonly #wholeAt = new Map<string, number>();

  /** The clock counts seconds and never goes back. */
  constructor(clock: () => number = () => performance.now() / 1000) {
    this.#clock = clock;
  }

  /** Whether an Event of the object may be written now; if so it counts. */
  admits(uid: string): boolean {
    const now = this.#clock();
    const next = Math.max(now, this.#wholeAt.get(uid) ?? now) + secondsEach;
    if (next - now > burst * secondsEach) return false;
    this.#wholeAt.delete(uid);
    this.#wholeAt.set(uid, next);
    const [oldest] = this.#wholeAt.keys();
    if (this.#wholeAt.size > remembered && oldest !== undefined) this.#wholeAt.delete(oldest);
    return true;
  }
}
