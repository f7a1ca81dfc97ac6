import { createHash } from 'node:crypto';
import { apiVersion, kind, type DPOJob } from '../../crds/dpojob.ts';
import { manager } from '../../crds/labels.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { isAlreadyExists } from '../cluster/errors.ts';
import { resources } from '../cluster/resource.ts';
import type { Event } from '../decide/observation.ts';
import { SpamFilter } from './spam-filter.ts';

/** Distinct events whose count is remembered. */
const remembered = 4096;
/** The same event again within so many seconds only adds to the count that the next one shows. */
const quietSeconds = 5;

interface Seen {
  count: number;
  sentAt: number;
  first: string;
}

/**
 * Writes Events beside a DPOJob. The same one again counts up instead of making another, and too many of one DPOJob are
 * held back; a failure loses only the Event.
 */
export class Recorder {
  readonly #cluster: Cluster;
  readonly #identity: string;
  readonly #warn: (message: string) => void;
  readonly #seen = new Map<string, Seen>();
  readonly #filter = new SpamFilter();

  constructor(cluster: Cluster, identity: string, warn: (message: string) => void) {
    this.#cluster = cluster;
    this.#identity = identity;
    this.#warn = warn;
  }

  emit(job: DPOJob, event: Event): void {
    this.#write(job, event).catch((error: unknown) => this.#warn(`event ${event.reason}: ${(error as Error).message}`));
  }

  async #write(job: DPOJob, event: Event): Promise<void> {
    const { namespace, name, uid } = job.metadata;
    const hash = createHash('sha256')
      .update(JSON.stringify([uid, event]))
      .digest('hex')
      .slice(0, 16);
    const eventName = `${name}.${hash}`;
    const now = new Date().toISOString();
    const seen = this.#count(eventName, now);
    if (seen === undefined || !this.#filter.admits(uid)) return;
    const times = { count: seen.count, lastTimestamp: now };
    const object = this.#eventOf(job, event, { ...times, metadata: { name: eventName, namespace } });
    try {
      await this.#cluster.create(resources.events, namespace, { ...object, firstTimestamp: seen.first });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      // Written before a restart of the operator, it counts at least two now.
      seen.count = Math.max(2, seen.count);
      await this.#cluster.mergePatch(resources.events, namespace, eventName, { ...times, count: seen.count });
    }
  }

  #eventOf(job: DPOJob, { type, reason, message }: Event, rest: object): object {
    const { namespace, name, uid, resourceVersion } = job.metadata;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      involvedObject: { apiVersion, kind, namespace, name, uid, resourceVersion },
      type,
      reason,
      message: message.slice(0, 1024),
      source: { component: manager },
      reportingComponent: manager,
      reportingInstance: this.#identity,
      ...rest,
    };
  }

  /** Counts an event; undefined when it is too soon to write it again. */
  #count(name: string, now: string): Seen | undefined {
    const before = this.#seen.get(name);
    const soon = before !== undefined && performance.now() - before.sentAt < quietSeconds * 1000;
    const sentAt = soon ? before.sentAt : performance.now();
    const seen = { count: (before?.count ?? 0) + 1, sentAt, first: before?.first ?? now };
    this.#seen.delete(name);
    this.#seen.set(name, seen);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > remembered && oldest !== undefined) this.#seen.delete(oldest);
    return soon ? undefined : seen;
  }
}
