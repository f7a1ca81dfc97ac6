import type { Logger } from 'winston';
import { labels } from '../crds/labels.ts';
import type { Cluster } from './cluster/cluster.ts';
import { ApiError, isConflict } from './cluster/errors.ts';
import { WorkQueue } from './loop/queue.ts';
import { pollTrainers } from './poller.ts';
import { reconcile } from './reconcile.ts';
import type { ControllerMetrics } from './serve/controller-metrics.ts';
import { Watched } from './watched.ts';
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
  /** By namespace; by undefined where all are watched. */
  readonly #watched: ReadonlyMap<string | undefined, Watched>;
  #leads = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#queue = new WorkQueue(options.metrics.queue);
    const { dpojobs, jobs, pods } = options.world.stores;
    dpojobs.onChange((before, after) => this.#enqueue((after ?? before)?.metadata));
    jobs.onChange((before, after) => this.#enqueueOwner((after ?? before)?.metadata));
    pods.onChange((before, after) => this.#enqueueOwner((after ?? before)?.metadata));
    const namespaces = options.namespaces.length === 0 ? [undefined] : options.namespaces;
    this.#watched = new Map(namespaces.map((namespace) => [namespace, this.#watch(namespace)]));
  }

  /** Follows the API server until stopped. */
  async watch(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#watched.values()].map((watched) => watched.run(signal)));
  }

  /** Resolves when every store has held everything once, but for namespaces that are refused. */
  async synced(): Promise<void> {
    await Promise.all([...this.#watched.values()].map((watched) => watched.synced()));
  }

  /** Whether there is a namespace that may be read. */
  sees(): boolean {
    return [...this.#watched.values()].some(({ whole }) => whole);
  }

  /** Reconciles until stopped; then finishes what is begun. */
  async lead(signal: AbortSignal): Promise<void> {
    const { world } = this.#options;
    await Promise.race([this.synced(), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    // A standby queues nothing, since nobody would take it out: the new leader looks at all once.
    this.#leads = true;
    this.#enqueueAll();
    signal.addEventListener('abort', () => this.#queue.close());
    if (signal.aborted) this.#queue.close();
    const answered = (namespace: string, name: string): void => this.#enqueue({ namespace, name });
    const work = Array.from({ length: workers }, () => this.#work());
    await Promise.all([...work, pollTrainers({ world, answered }, signal)]);
  }

  #enqueue(metadata: { namespace: string; name: string } | undefined): void {
    if (metadata !== undefined && this.#leads) this.#queue.add(`${metadata.namespace}/${metadata.name}`);
  }

  #enqueueAll(namespace?: string): void {
    for (const { metadata } of this.#options.world.stores.dpojobs.all()) {
      if (namespace === undefined || metadata.namespace === namespace) this.#enqueue(metadata);
    }
  }

  #enqueueOwner(child: { namespace: string; labels?: Record<string, string> } | undefined): void {
    const name = child?.labels?.[labels.dpojob];
    if (child !== undefined && name !== undefined) this.#enqueue({ namespace: child.namespace, name });
  }

  #watch(namespace: string | undefined): Watched {
    const { cluster, metrics, log, world } = this.#options;
    const warn = (message: string): void => void log.warn(message);
    const back = (whole: string): void => this.#enqueueAll(whole);
    return new Watched({ cluster, stores: world.stores, metrics, namespace, back, warn });
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.#queue.take();
      if (key === undefined) return;
      const [namespace = '', name = ''] = key.split('/');
      // Of a namespace that is refused only half may be seen; when it is back, all its jobs are looked at.
      if (this.#watched.get(namespace)?.whole === false) this.#queue.drop(key);
      else await this.#reconcile(key, namespace, name);
      this.#queue.done(key);
    }
  }

  async #reconcile(key: string, namespace: string, name: string): Promise<void> {
    const { world, metrics, log } = this.#options;
    const started = performance.now();
    const spent = (): number => (performance.now() - started) / 1000;
    const job = world.stores.dpojobs.get(namespace, name);
    try {
      const again = await reconcile(world, namespace, name);
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
    const now = world.stores.dpojobs.get(namespace, name);
    // What this look put down of a job that went meanwhile would stay for ever.
    if (job !== undefined && now?.metadata.uid !== job.metadata.uid) world.forget(job.metadata.uid);
    if (now === undefined) this.#queue.drop(key);
  }
}
