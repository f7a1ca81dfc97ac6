/** Seconds between two writes of a job that change nothing but its progress and figures. */
export const secondsPerJob = 10;
/** Such writes per second in all. */
export const writesPerSecond = 20;

/** Spreads the writes that change only figures: at most one per 10 s for a job, and 20 a second in all. */
export class FiguresBudget {
  readonly #lastWrite = new Map<string, number>();
  readonly #clock: () => number;
  /** When the next write may be, seconds of the clock. */
  #free = 0;

  /** The clock counts seconds and never goes back. */
  constructor(clock: () => number = () => performance.now() / 1000) {
    this.#clock = clock;
  }

  /** Seconds until this job's figures may be written; 0 takes the place. */
  until(uid: string): number {
    const now = this.#clock();
    const own = (this.#lastWrite.get(uid) ?? -Infinity) + secondsPerJob - now;
    if (own > 0) return own;
    // One second's worth may come at once.
    const wait = this.#free - 1 - now;
    if (wait > 0) return wait;
    this.#free = Math.max(this.#free, now) + 1 / writesPerSecond;
    return 0;
  }

  /** The job's status was written now. */
  wrote(uid: string): void {
    this.#lastWrite.set(uid, this.#clock());
  }

  forget(uid: string): void {
    this.#lastWrite.delete(uid);
  }
}
