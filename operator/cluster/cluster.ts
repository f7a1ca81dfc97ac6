import type { Resource } from './resource.ts';

/** Metadata that every stored object has. */
export interface Stored {
  metadata: { name: string; namespace: string; uid: string; resourceVersion: string };
}

export interface Selection {
  /** Absent: all namespaces. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
}

export interface Page {
  items: Stored[];
  /** Version of the whole list: where a watch goes on. */
  resourceVersion: string;
  /** Token of the next page; absent on the last one. */
  continue?: string;
}

/** One line of a watch. A bookmark's object carries only a resource version. */
export interface Change {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: Stored;
}

/**
 * All that the operator asks of an API server. Objects are the API's own JSON: times are strings, nothing is converted.
 * Every method rejects with ApiError when the server refuses, and with another error when there was no answer.
 */
export interface Cluster {
  list(
    resource: Resource,
    selection: Selection,
    page: { limit: number; continue?: string | undefined },
    signal?: AbortSignal,
  ): Promise<Page>;
  /** Changes after a resource version, until the server ends the watch or `signal` aborts. */
  watch(
    resource: Resource,
    selection: Selection,
    resourceVersion: string,
    signal: AbortSignal,
  ): AsyncGenerator<Change, void>;
  /** The object, or undefined when it is not there. */
  get(resource: Resource, namespace: string, name: string, signal?: AbortSignal): Promise<Stored | undefined>;
  /** Without a namespace: of a kind that has none. */
  create(resource: Resource, namespace: string | undefined, object: object, signal?: AbortSignal): Promise<Stored>;
  /** Replaces the object if its `metadata.resourceVersion` is still the stored one. */
  replace(resource: Resource, object: Stored, signal?: AbortSignal): Promise<Stored>;
  /** Server-side apply of the status subresource. */
  applyStatus(resource: Resource, object: Stored): Promise<Stored>;
  mergePatch(resource: Resource, namespace: string, name: string, patch: object): Promise<Stored>;
  /** Deletes in the foreground if the UID is still this one; answers what is left of it until it is gone. */
  delete(resource: Resource, namespace: string, name: string, uid: string): Promise<Stored | undefined>;
}
