import { collectDefaultMetrics, Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { QueueObserver } from '../loop/queue.ts';
import { controllerNames as names } from './names.ts';

const controller = 'dpojob';
const ageOf = ({ heardAt }: { heardAt: number }): number => (performance.now() - heardAt) / 1000;
const seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What the controller tells of itself, under controller-runtime's names, so that known dashboards and alerts fit. */
export class ControllerMetrics {
  readonly #reconciles: Counter<'controller' | 'result'>;
  readonly #errors: Counter<'controller'>;
  readonly #time: Histogram<'controller'>;
  readonly #requests: Counter<'method' | 'code'>;
  readonly #requestTime: Histogram<'method'>;
  readonly #leader: Gauge<'name'>;
  readonly #watches: { resource: string; heardAt: number; refused: boolean }[] = [];
  readonly queue: QueueObserver;

  constructor(registry: Registry) {
    collectDefaultMetrics({ register: registry });
    const registers = [registry];
    const own = { registers, labelNames: ['controller'] as const };
    this.#reconciles = new Counter({
      name: names.reconcileTotal,
      help: 'Reconciles by result',
      registers,
      labelNames: ['controller', 'result'],
    });
    this.#errors = new Counter({ ...own, name: names.reconcileErrors, help: 'Reconciles that failed' });
    this.#time = new Histogram({ ...own, name: names.reconcileTime, help: 'Seconds of a reconcile', buckets: seconds });
    this.#requests = new Counter({
      name: names.requests,
      help: 'Requests to the API server by status code; 0 is no answer',
      registers,
      labelNames: ['method', 'code'],
    });
    this.#requestTime = new Histogram({
      name: names.requestTime,
      help: 'Seconds until the API server answered',
      registers,
      labelNames: ['method'],
      buckets: seconds,
    });
    this.#leader = new Gauge({ name: names.leader, help: '1 on the leader', registers, labelNames: ['name'] });
    this.queue = this.#makeQueue(registers);
    this.#makeWatchAge(registers);
    this.setLeader(false);
    this.#errors.inc({ controller }, 0);
  }

  setLeader(leads: boolean): void {
    this.#leader.set({ name: 'dpo-operator' }, leads ? 1 : 0);
  }

  reconciled(result: 'success' | 'requeue_after' | 'error', spent: number): void {
    this.#reconciles.inc({ controller, result });
    this.#time.observe({ controller }, spent);
    if (result === 'error') this.#errors.inc({ controller });
  }

  requested = (method: string, status: number, spent: number): void => {
    this.#requests.inc({ method, code: String(status) });
    this.#requestTime.observe({ method }, spent);
  };

  /** A further watch, of a kind in a namespace or in all: to be told when a list, change or bookmark arrives, or none may. */
  watching(resource: string): { beat: () => void; refused: (refused: boolean) => void } {
    const watch = { resource, heardAt: performance.now(), refused: false };
    this.#watches.push(watch);
    return {
      beat: () => void (watch.heardAt = performance.now()),
      refused: (refused) => void (watch.refused = refused),
    };
  }

  /** Seconds since each watch was last heard. One that is refused is not dead: no restart would help it. */
  watchAges(): number[] {
    return this.#watches.filter(({ refused }) => !refused).map(ageOf);
  }

  #makeQueue(registers: Registry[]): QueueObserver {
    const name = controller;
    const labelNames = ['name'] as const;
    const depth = new Gauge({ name: names.queueDepth, help: 'Keys that wait', registers, labelNames });
    const adds = new Counter({ name: names.queueAdds, help: 'Keys added', registers, labelNames });
    const retries = new Counter({ name: names.queueRetries, help: 'Keys that failed', registers, labelNames });
    const latency = new Histogram({
      name: names.queueLatency,
      help: 'Seconds that a key waited',
      registers,
      labelNames,
      buckets: seconds,
    });
    return {
      added: () => adds.inc({ name }),
      depth: (keys) => depth.set({ name }, keys),
      retried: () => retries.inc({ name }),
      waited: (spent) => latency.observe({ name }, spent),
    };
  }

  #makeWatchAge(registers: Registry[]): void {
    const age: Gauge<'resource'> = new Gauge({
      name: names.watchAge,
      help: 'Seconds since the API server last said anything about a kind; bookmarks come every minute',
      registers,
      labelNames: ['resource'],
      collect: () => {
        for (const { resource } of this.#watches) {
          const ages = this.#watches.filter((watch) => watch.resource === resource).map(ageOf);
          age.set({ resource }, Math.max(...ages));
        }
      },
    });
  }
}
