import { printable } from '../../crds/printable.ts';
import type { Cluster, Stored } from '../cluster/cluster.ts';
import { resources } from '../cluster/resource.ts';
import { clueReasons, type ClueAbout } from '../decide/clue.ts';
import type { Clue } from '../decide/observation.ts';

/** Seconds for which nothing is asked of what may only be slow, and the longest time between two questions. */
const firstAsk = 5;
const longestWait = 300;
/** Questions per second in all: each is a list, which the API server answers from all Events of the namespace. */
const asksPerSecond = 2;

interface Known {
  about: string;
  clue?: Clue;
  asked: number;
  /** When the next question may be, seconds of the clock. */
  nextAt: number;
  /** Whether `nextAt` is a place among the questions of all. */
  placed: boolean;
}

interface RawEvent extends Stored {
  reason?: string;
  message?: string;
  eventTime?: string;
  lastTimestamp?: string;
  series?: { lastObservedTime?: string };
}

/**
 * Asks for the Events of an object about which nothing else tells: rarely, and only while it is stuck, since Events are
 * neither watched nor kept. Without the right to list them the clue is missing and all else goes on.
 */
export class Clues {
  readonly #cluster: Pick<Cluster, 'list'>;
  readonly #clock: () => number;
  readonly #known = new Map<string, Known>();
  #free = 0;

  /** The clock counts seconds and never goes back. */
  constructor(cluster: Pick<Cluster, 'list'>, clock: () => number = () => performance.now() / 1000) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  /** The latest clue about an object that a DPOJob waits for, and the seconds until a newer one may be read. */
  async of(uid: string, namespace: string, about: ClueAbout | undefined): Promise<{ clue?: Clue; clueAfter?: number }> {
    if (about === undefined) {
      this.forget(uid);
      return {};
    }
    const before = this.#known.get(uid);
    const known =
      before?.about === about.uid
        ? before
        : { about: about.uid, asked: 0, nextAt: this.#clock() + firstAsk, placed: false };
    this.#known.set(uid, known);
    if (this.#mayAsk(known)) {
      known.nextAt = this.#clock() + Math.min(longestWait, firstAsk * 2 ** ++known.asked);
      known.placed = false;
      const found = await this.#ask(namespace, about).catch(() => known.clue);
      if (found !== undefined) known.clue = found;
    }
    return { ...(known.clue && { clue: known.clue }), clueAfter: Math.max(1, known.nextAt - this.#clock()) };
  }

  forget(uid: string): void {
    this.#known.delete(uid);
  }

  /** Whether it is this one's turn. One whose time has come takes a place among the others, and waits for that alone. */
  #mayAsk(known: Known): boolean {
    const now = this.#clock();
    if (known.nextAt <= now && !known.placed) {
      known.nextAt = Math.max(now, this.#free);
      known.placed = true;
      this.#free = known.nextAt + 1 / asksPerSecond;
    }
    return known.nextAt <= now;
  }

  async #ask(namespace: string, { uid, since }: ClueAbout): Promise<Clue | undefined> {
    const fieldSelector = `involvedObject.uid=${uid},type=Warning`;
    const { items } = await this.#cluster.list(resources.events, { namespace, fieldSelector }, { limit: 50 });
    const telling = (items as RawEvent[])
      .filter(({ reason = '' }) => clueReasons[reason] !== undefined)
      .filter((event) => timeOf(event) >= Date.parse(since));
    const { reason, message } = telling.toSorted((a, b) => timeOf(a) - timeOf(b)).at(-1) ?? {};
    return reason === undefined ? undefined : { reason, message: printable(message ?? '').slice(0, 1024) };
  }
}

const timeOf = ({ series, lastTimestamp, eventTime }: RawEvent): number =>
  Date.parse(series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? '1970-01-01T00:00:00Z');
