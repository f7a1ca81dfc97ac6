import { labels } from '../crds/labels.ts';
import type { Cluster, Stored } from './cluster/cluster.ts';
import { resources, type Resource } from './cluster/resource.ts';
import { keepDPOJob, keepJob, keepPod } from './keep.ts';
import { Reflector } from './loop/reflector.ts';
import type { Store } from './loop/store.ts';
import type { ControllerMetrics } from './serve/controller-metrics.ts';
import type { Stores } from './world.ts';

export interface WatchedOptions {
  cluster: Cluster;
  stores: Stores;
  metrics: Pick<ControllerMetrics, 'watching'>;
  /** Absent: all. */
  namespace: string | undefined;
  /** Called when all of it may be read again. */
  back: (namespace: string) => void;
  warn: (message: string) => void;
}

/**
 * What is watched of one namespace, or of all. It is acted upon only while all of it may be read: half a view would show
 * DPOJobs without their Jobs, which would then be made again.
 */
export class Watched {
  readonly #options: WatchedOptions;
  readonly #reflectors: Pick<Reflector<Stored>, 'run' | 'synced'>[];
  readonly #refused = new Set<Resource>();

  constructor(options: WatchedOptions) {
    this.#options = options;
    const { dpojobs, jobs, pods } = options.stores;
    this.#reflectors = [
      this.#reflect(resources.dpojobs, dpojobs, keepDPOJob),
      this.#reflect(resources.jobs, jobs, keepJob, labels.dpojob),
      this.#reflect(resources.pods, pods, keepPod, labels.dpojob),
    ];
  }

  get whole(): boolean {
    return this.#refused.size === 0;
  }

  /** Follows the API server until stopped. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.run(signal)));
  }

  /** Resolves when every store has held everything once, or was refused it. */
  async synced(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.synced));
  }

  #reflect<T extends Stored>(
    resource: Resource,
    store: Store<T>,
    keep: (object: Stored) => T,
    labelSelector?: string,
  ): Reflector<T> {
    const { cluster, metrics, namespace } = this.#options;
    const { beat, refused: tell } = metrics.watching(resource.plural);
    const refused = (is: boolean): void => {
      tell(is);
      this.#stand(resource, is);
    };
    const warn = (message: string): void =>
      this.#options.warn(namespace === undefined ? message : `namespace ${namespace}: ${message}`);
    const selection = { namespace, labelSelector };
    return new Reflector<T>({ cluster, resource, selection, store, keep, beat, refused, warn });
  }

  #stand(resource: Resource, refused: boolean): void {
    const { namespace, back } = this.#options;
    const before = this.#refused.size;
    if (refused) this.#refused.add(resource);
    else this.#refused.delete(resource);
    if (namespace === undefined) return;
    if (this.#refused.size === this.#reflectors.length) this.#leave(namespace);
    if (before > 0 && this.whole) back(namespace);
  }

  /** Only when each kind will be listed anew. The DPOJobs first: a pod that goes before its DPOJob counts as ended. */
  #leave(namespace: string): void {
    const { dpojobs, jobs, pods } = this.#options.stores;
    for (const store of [dpojobs, jobs, pods]) store.leave(namespace);
  }
}
