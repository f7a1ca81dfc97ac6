import type { Stored } from '../cluster/cluster.ts';

/** Deleted objects that are remembered, so that a late answer does not bring one back; a later version does. */
const rememberedDeletes = 4096;

export type Listener<T> = (before: T | undefined, after: T | undefined) => void;

const keyOf = ({ metadata: { namespace, name } }: Stored): string => `${namespace}/${name}`;

/** Versions of one kind come from one counter (etcd's): the higher is the newer. */
const isOlder = (a: Stored, b: Stored): boolean =>
  BigInt(a.metadata.resourceVersion) < BigInt(b.metadata.resourceVersion);

/**
 * The objects of one kind as they were last seen, found by namespace and name or by one index. It never goes back: what
 * the operator wrote is put in at once, and an older view of it that the watch still delivers is passed over, so that no
 * decision rests on what was before the operator's own write.
 */
export class Store<T extends Stored> {
  readonly #objects = new Map<string, T>();
  readonly #index = new Map<string, Map<string, T>>();
  /** Version at which an object was gone, by its UID. */
  readonly #deleted = new Map<string, bigint>();
  readonly #listeners: Listener<T>[] = [];
  readonly #indexOf: (object: T) => string | undefined;

  constructor(indexOf: (object: T) => string | undefined = () => undefined) {
    this.#indexOf = indexOf;
  }

  /** Listeners must only take note: one that throws would end the watch that feeds the store. */
  onChange(listener: Listener<T>): void {
    this.#listeners.push(listener);
  }

  get size(): number {
    return this.#objects.size;
  }
  all(): IterableIterator<T> {
    return this.#objects.values();
  }
  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }
  byIndex(value: string): T[] {
    return [...(this.#index.get(value)?.values() ?? [])];
  }

  /** Takes an object in, unless a newer view of it is here or it was deleted. */
  put(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (BigInt(object.metadata.resourceVersion) <= (this.#deleted.get(object.metadata.uid) ?? -1n)) return;
    if (before !== undefined && !isOlder(before, object)) return;
    this.#set(key, before, object);
  }

  /**
   * Takes out an object that was deleted, last seen as given, and was gone at a version. One that only lost the label by
   * which it is watched is deleted as well here, and comes back with it.
   */
  delete(object: T, goneAt = BigInt(object.metadata.resourceVersion)): void {
    this.#remember(object.metadata.uid, goneAt);
    const key = keyOf(object);
    const before = this.#objects.get(key);
    // Another object took the name already.
    if (before === undefined || before.metadata.uid !== object.metadata.uid) return;
    // Its last state is told first: a pod's end is often news only of its deletion.
    if (isOlder(before, object)) this.#set(key, before, object);
    this.#set(key, this.#objects.get(key), undefined);
  }

  /** Makes the store equal to a whole list of a namespace (of all, if none); what is missing in it was deleted. */
  replace(list: readonly T[], listVersion: string, namespace?: string): void {
    const present = new Set(list.map(({ metadata }) => metadata.uid));
    const listed = BigInt(listVersion);
    for (const object of this.#objects.values()) {
      const { metadata } = object;
      const within = namespace === undefined || metadata.namespace === namespace;
      // Made after the list was: not missing, only too new.
      if (within && !present.has(metadata.uid) && BigInt(metadata.resourceVersion) <= listed)
        this.delete(object, listed);
    }
    for (const object of list) this.put(object);
  }

  /** Lets go of a namespace that cannot be seen any more. Nothing in it is known to be deleted: it may all come back. */
  leave(namespace: string): void {
    for (const [key, object] of this.#objects) {
      if (object.metadata.namespace === namespace) this.#set(key, object, undefined);
    }
  }

  #set(key: string, before: T | undefined, after: T | undefined): void {
    if (after === undefined) this.#objects.delete(key);
    else this.#objects.set(key, after);
    if (before !== undefined) this.#unindex(key, before);
    const value = after && this.#indexOf(after);
    if (after !== undefined && value !== undefined) {
      const found = this.#index.get(value) ?? new Map<string, T>();
      this.#index.set(value, found.set(key, after));
    }
    for (const listener of this.#listeners) listener(before, after);
  }

  #unindex(key: string, before: T): void {
    const value = this.#indexOf(before);
    const found = value === undefined ? undefined : this.#index.get(value);
    found?.delete(key);
    if (value !== undefined && found?.size === 0) this.#index.delete(value);
  }

  #remember(uid: string, goneAt: bigint): void {
    this.#deleted.set(uid, goneAt);
    const [oldest] = this.#deleted.keys();
    if (this.#deleted.size > rememberedDeletes && oldest !== undefined) this.#deleted.delete(oldest);
  }
}
