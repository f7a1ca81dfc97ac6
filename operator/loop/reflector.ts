import type { Cluster, Selection, Stored } from '../cluster/cluster.ts';
import { ApiError, isExpired, isForbidden } from '../cluster/errors.ts';
import type { Resource } from '../cluster/resource.ts';
import { backoffSeconds, pause } from './backoff.ts';
import { pages } from './pages.ts';
import type { Store } from './store.ts';

const firstWait = 0.8;
const longestWait = 30;

export interface ReflectorOptions<T extends Stored> {
  cluster: Cluster;
  resource: Resource;
  selection: Selection;
  store: Store<T>;
  /** Keeps of an object only what is read later. */
  keep: (object: Stored) => T;
  /** Called at every sign of life: a list, a change or a bookmark. */
  beat: () => void;
  /** Called with true when the API server refuses to show the namespace, with false when the store is equal to it again. */
  refused?: (refused: boolean) => void;
  warn: (message: string) => void;
}

/**
 * Keeps a store equal to the API server's objects of one kind: lists once, then follows changes, and goes on after
 * every failure for as long as it is not stopped. Lists anew only when the version it stands at is too old.
 */
export class Reflector<T extends Stored> {
  readonly #options: ReflectorOptions<T>;
  readonly #synced = Promise.withResolvers<void>();
  #version: string | undefined;
  #failures = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
  }

  /** Resolves when the store has held everything once, or the namespace was refused. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Resolves when stopped; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#step(signal);
        this.#failures = 0;
      } catch (error) {
        if (!signal.aborted) await this.#recover(error, signal);
      }
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    if (this.#version === undefined) {
      this.#version = await this.#relist(signal);
      this.#options.refused?.(false);
      this.#synced.resolve();
    }
    await this.#follow(this.#version, signal);
  }

  async #relist(signal: AbortSignal): Promise<string> {
    const { cluster, resource, selection, keep, store, beat } = this.#options;
    const items: T[] = [];
    let version = '';
    for await (const page of pages(cluster, resource, selection, signal)) {
      items.push(...page.items.map(keep));
      beat();
      version = page.resourceVersion;
    }
    store.replace(items, version, selection.namespace);
    return version;
  }

  async #follow(from: string, signal: AbortSignal): Promise<void> {
    const { cluster, resource, selection, keep, store, beat } = this.#options;
    let changes = 0;
    for await (const { type, object } of cluster.watch(resource, selection, from, signal)) {
      beat();
      changes += 1;
      this.#failures = 0;
      if (type === 'DELETED') store.delete(keep(object));
      else if (type !== 'BOOKMARK') store.put(keep(object));
      this.#version = object.metadata.resourceVersion;
    }
    // Ended at once and empty, again and again: as good as a failure.
    if (changes === 0) await pause(1, signal);
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    if (isExpired(error)) this.#version = undefined;
    // Its namespace was deleted, or its Role: that is an answer, which must not hold up the other namespaces.
    if (isForbidden(error) && this.#options.selection.namespace !== undefined) this.#refuse();
    const asked = error instanceof ApiError ? (error.retryAfter ?? 0) : 0;
    const wait = Math.max(asked, backoffSeconds(this.#failures++, firstWait, longestWait));
    const { resource, warn } = this.#options;
    warn(`watch of ${resource.plural}: ${(error as Error).message}; again in ${wait.toFixed(1)} s`);
    await pause(wait, signal);
  }

  /** What is missed from now on is in no watch: when it may be read again, it is listed. */
  #refuse(): void {
    this.#version = undefined;
    this.#options.refused?.(true);
    this.#synced.resolve();
  }
}
