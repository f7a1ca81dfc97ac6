import type { Logger } from 'winston';
import { labels } from '../crds/labels.ts';
import type { Cluster, Stored } from './cluster/cluster.ts';
import { ApiError, isConflict } from './cluster/errors.ts';
import { resources, type Resource } from './cluster/resource.ts';
import { keepDPOJob, keepJob, keepPod } from './keep.ts';
import { WorkQueue } from './loop/queue.ts';
import { Reflector } from './loop/reflector.ts';
import type { Store } from './loop/store.ts';
import { pollTrainers } from './poller.ts';
import { reconcile } from './reconcile.ts';
import type { ControllerMetrics } from './serve/controller-metrics.ts';
import type { ClusterWorld } from './world.ts';

const workers = 8;

export interface ControllerOptions {
  cluster: Cluster;
  world: ClusterWorld;
  metrics: ControllerMetrics;
  log: Logger;
  /** Empty: all namespaces. */
  namespaces: readonly string[];
}

/** Feeds the queue from the watches and works on it. Watching goes on in a standby, too; only a leader works. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;
  readonly #reflectors: Pick<Reflector<Stored>, 'run' | 'synced'>[] = [];
  #leads = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#queue = new WorkQueue(options.metrics.queue);
    const { dpojobs, jobs, pods } = options.world.stores;
    dpojobs.onChange((before, after) => this.#enqueue((after ?? before)?.metadata));
    jobs.onChange((before, after) => this.#enqueueOwner((after ?? before)?.metadata));
    pods.onChange((before, after) => this.#enqueueOwner((after ?? before)?.metadata));
    this.#reflect(resources.dpojobs, dpojobs, keepDPOJob);
    this.#reflect(resources.jobs, jobs, keepJob, labels.dpojob);
    this.#reflect(resources.pods, pods, keepPod, labels.dpojob);
  }

  /** Follows the API server until stopped. */
  async watch(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.run(signal)));
  }

  /** Resolves when every store has held everything once. */
  async synced(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.synced));
  }

  /** Reconciles until stopped; then finishes what is begun. */
  async lead(signal: AbortSignal): Promise<void> {
    const { world } = this.#options;
    await Promise.race([this.synced(), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    // A standby queues nothing, since nobody would take it out: the new leader looks at all once.
    this.#leads = true;
    for (const { metadata } of world.stores.dpojobs.all()) this.#enqueue(metadata);
    signal.addEventListener('abort', () => this.#queue.close());
    if (signal.aborted) this.#queue.close();
    const answered = (namespace: string, name: string): void => this.#enqueue({ namespace, name });
    const work = Array.from({ length: workers }, () => this.#work());
    await Promise.all([...work, pollTrainers({ world, answered }, signal)]);
  }

  #enqueue(metadata: { namespace: string; name: string } | undefined): void {
    if (metadata !== undefined && this.#leads) this.#queue.add(`${metadata.namespace}/${metadata.name}`);
  }

  #enqueueOwner(child: { namespace: string; labels?: Record<string, string> } | undefined): void {
    const name = child?.labels?.[labels.dpojob];
    if (child !== undefined && name !== undefined) this.#enqueue({ namespace: child.namespace, name });
  }

  #reflect<T extends Stored>(
    resource: Resource,
    store: Store<T>,
    keep: (object: Stored) => T,
    labelSelector?: string,
  ): void {
    const { cluster, metrics, log, namespaces } = this.#options;
    const warn = (message: string): void => void log.warn(message);
    for (const namespace of namespaces.length === 0 ? [undefined] : namespaces) {
      const selection = { namespace, labelSelector };
      const beat = metrics.watching(resource.plural);
      this.#reflectors.push(new Reflector<T>({ cluster, resource, selection, store, keep, beat, warn }));
    }
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.#queue.take();
      if (key === undefined) return;
      await this.#reconcile(key);
      this.#queue.done(key);
    }
  }

  async #reconcile(key: string): Promise<void> {
    const { world, metrics, log } = this.#options;
    const [namespace = '', name = ''] = key.split('/');
    const started = performance.now();
    const spent = (): number => (performance.now() - started) / 1000;
    try {
      const job = world.stores.dpojobs.get(namespace, name);
      const read = world.departed(job?.metadata.uid ?? '');
      const again = await reconcile(world, namespace, name);
      world.settle(job, read);
      this.#queue.forget(key);
      if (again !== undefined) this.#queue.addAfter(key, again);
      metrics.reconciled(again === undefined ? 'success' : 'requeue_after', spent());
    } catch (error) {
      metrics.reconciled('error', spent());
      this.#queue.retry(key, error instanceof ApiError ? error.retryAfter : 0);
      const { message } = error as Error;
      // A conflict means that the object changed meanwhile: the next look sees it.
      log.log(isConflict(error) ? 'debug' : 'warn', `reconcile: ${message}`, { namespace, dpojob: name });
    }
  }
}
