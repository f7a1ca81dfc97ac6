/** Seconds between two writes of a job that change nothing but its progress and figures. */
export const secondsPerJob = 10;
/** Such writes per second in all. */
export const writesPerSecond = 20;

/**
 * Spreads the writes that change only figures: at most one per 10 s for a job, and 20 a second in all. A job that must wait
 * for the others has a place among them, and need not ask before it is its turn: thousands that asked again and again
 * would have no time for anything else.
 */
export class FiguresBudget {
  readonly #lastWrite = new Map<string, number>();
  readonly #clock: () => number;
  /** When a job's turn is, seconds of the clock; until it writes. */
  readonly #turns = new Map<string, number>();
  /** When the next turn may be, seconds of the clock. */
  #free = -Infinity;

  /** The clock counts seconds and never goes back. */
  constructor(clock: () => number = () => performance.now() / 1000) {
    this.#clock = clock;
  }

  /** Seconds until this job's figures may be written; 0 if now. */
  until(uid: string): number {
    const now = this.#clock();
    const own = (this.#lastWrite.get(uid) ?? -Infinity) + secondsPerJob - now;
    if (own > 0) return own;
    const turn = this.#turns.get(uid) ?? this.#nextTurn(now);
    this.#turns.set(uid, turn);
    return Math.max(0, turn - now);
  }

  /** The job's status was written now. */
  wrote(uid: string): void {
    this.#lastWrite.set(uid, this.#clock());
    this.#turns.delete(uid);
  }

  forget(uid: string): void {
    this.#lastWrite.delete(uid);
    this.#turns.delete(uid);
  }

  #nextTurn(now: number): number {
    // One second's worth may come at once.
    const turn = Math.max(this.#free, now - 1);
    this.#free = turn + 1 / writesPerSecond;
    return turn;
  }
}
