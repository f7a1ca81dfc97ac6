import { equal } from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DPOJobStatus } from '../../../crds/status.ts';
import { labels } from '../../../crds/labels.ts';
import type { Cluster } from '../../../operator/cluster/cluster.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { container, example } from '../workplace.ts';
import { Api, paths, type Spec } from './api.ts';
import { clusterAt, startOperator, type RunningOperator } from './operator.ts';
import { Proxy } from './proxy.ts';
import { isLive, Witness, type SeenDPOJob, type SeenPod } from './witness.ts';

/** The one DPOJob of a site. */
export const name = 'run';

/** A namespace with one DPOJob, operators behind a proxy of their own, and a witness; the test plays user and kubelet. */
export class Site {
  readonly proxy: Proxy;
  readonly api: Api;
  readonly witness: Witness;
  readonly namespace: string;
  readonly path: ReturnType<typeof paths>;
  /** The operators' way to the API server, through the proxy. */
  readonly cluster: Cluster;
  readonly #open: Proxy;
  readonly #operators: RunningOperator[] = [];
  static readonly #opened = new Set<Site>();

  private constructor(namespace: string, proxy: Proxy, open: Proxy) {
    this.namespace = namespace;
    this.proxy = proxy;
    this.#open = open;
    this.api = new Api(open.url);
    this.path = paths(namespace);
    this.cluster = clusterAt(proxy.url, true);
    this.witness = new Witness(clusterAt(open.url), namespace);
  }

  static async open(plane: ControlPlane, namespace: string): Promise<Site> {
    const [proxy, open] = [await Proxy.open(plane), await Proxy.open(plane)];
    await new Api(open.url).create('/api/v1/namespaces', { metadata: { name: namespace } });
    const site = new Site(namespace, proxy, open);
    Site.#opened.add(site);
    const account = (): Promise<boolean> =>
      site.api.get(site.path.core('serviceaccounts', 'default')).then(
        () => true,
        () => false,
      );
    await site.until('a service account', account);
    return site;
  }

  /** Closes what a life that failed left open. */
  static async closeAll(): Promise<void> {
    await Promise.all([...Site.#opened].map((site) => site.close()));
  }

  async close(): Promise<void> {
    Site.#opened.delete(this);
    await Promise.race([Promise.all(this.#operators.map((operator) => operator.stop())), sleep(100)]);
    this.proxy.close();
    await this.witness.stop();
    this.#open.close();
  }

  /** Starts an operator; `cluster` and clock in place of the usual ones. */
  start({ cluster = this.cluster, now }: { cluster?: Cluster; now?: () => string } = {}): RunningOperator {
    const operator = startOperator({ cluster, namespace: this.namespace, ...(now && { now }) });
    this.#operators.push(operator);
    return operator;
  }

  get job(): SeenDPOJob | undefined {
    return this.witness.dpojobs.get(this.namespace, name);
  }
  get status(): DPOJobStatus {
    return this.job?.status ?? {};
  }
  isTrue(type: string): boolean {
    return this.status.conditions?.some((one) => one.type === type && one.status === 'True') ?? false;
  }
  /** Its pods that have not ended, of an attempt. */
  live(attempt: number): SeenPod[] {
    return [...this.witness.pods.all()].filter(
      ({ metadata, status }) =>
        metadata.labels?.[labels.attempt] === String(attempt) &&
        metadata.deletionTimestamp === undefined &&
        status?.phase !== 'Succeeded' &&
        status?.phase !== 'Failed',
    );
  }

  async until(what: string, holds: () => boolean | Promise<boolean>, seconds = 120): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (!(await holds())) {
      if (Date.now() > deadline)
        throw new Error(`${this.namespace}: ${what}: not so after ${seconds} s: ${JSON.stringify(this.status)}`);
      await sleep(30);
    }
  }

  // What the user does.
  apply(spec: Spec = {}): Promise<object> {
    return this.api.create(this.path.dpojob(), { ...example, metadata: { name }, spec: { ...example.spec, ...spec } });
  }
  change(spec: Spec): Promise<object> {
    return this.api.patch(this.path.dpojob(name), { spec });
  }

  // What the kubelet does. No pod has a node, so the API server itself removes what is to be deleted.
  async pod(attempt: number): Promise<SeenPod> {
    await this.until(`a pod of attempt ${attempt}`, () => this.live(attempt).length === 1);
    return this.live(attempt)[0] as SeenPod;
  }
  run(pod: SeenPod): Promise<object> {
    const state = { running: { startedAt: new Date().toISOString() } };
    return this.#set(pod, { phase: 'Running', containerStatuses: container(state) });
  }
  end(pod: SeenPod, exitCode: number, more: { reason?: string; conditions?: object[]; message?: string } = {}) {
    const time = new Date().toISOString();
    const { reason = exitCode === 0 ? 'Completed' : 'Error', conditions = [], message = '' } = more;
    const terminated = { exitCode, reason, message, startedAt: time, finishedAt: time };
    const phase = exitCode === 0 ? 'Succeeded' : 'Failed';
    return this.#set(pod, { phase, conditions, containerStatuses: container({ terminated }) });
  }
  #set({ metadata }: SeenPod, status: object): Promise<object> {
    return this.api.patch(`${this.path.core('pods', metadata.name)}/status`, { status }, 'strategic');
  }
}

/** What a life leaves: parts of its status, and the names of all Jobs that were ever made. */
export interface Left {
  status: DPOJobStatus;
  made: string[];
}

/** The life of a job in which the operator does all that it ever does: created, run, suspended, resumed, complete. */
export async function wholeLife(site: Site, between: () => Promise<unknown> = async () => undefined): Promise<Left> {
  await site.apply();
  await between();
  await site.run(await site.pod(1));
  await site.until('Running', () => site.status.state === 'Running');
  await between();
  await site.change({ suspend: true });
  await site.until('Suspended', () => site.isTrue('Suspended'));
  await between();
  await site.change({ suspend: false });
  const pod = await site.pod(2);
  await site.run(pod);
  await site.end(pod, 0);
  await site.until('Complete', () => site.status.state === 'Complete');
  return { status: { state: 'Complete', attempt: 2, restarts: 0 }, made: [`${name}-1`, `${name}-2`] };
}

/** The invariants that hold whatever happened: nothing made twice, nothing lost, nothing wrong said, one live Job at most. */
export async function expectSound(site: Site, left: Left): Promise<void> {
  const { witness } = site;
  const over = ['Complete', 'Failed', 'Suspended'].includes(site.status.state ?? '');
  const live = (): string[] => [...witness.jobs.all()].filter(isLive).map(({ metadata }) => metadata.name);
  const wanted = over ? [] : [left.made.at(-1)];
  // A watch that was cut off comes back a while after the operator's.
  await site.until('the Jobs that were made', () => witness.madeNames().length >= left.made.length, 20);
  await site.until('the live Job', () => JSON.stringify(live()) === JSON.stringify(wanted), 20);
  // As text: objects of jest's own realm are never equal to assert, and `npm run soak` has no jest.
  const { status } = site;
  for (const field of Object.keys(left.status) as (keyof DPOJobStatus)[])
    equal(JSON.stringify(status[field]), JSON.stringify(left.status[field]), field);
  equal([...witness.problems, ...witness.revived()].join('; '), '');
  equal(witness.madeNames().join(), left.made.join());
  equal(site.status.observedGeneration, site.job?.metadata.generation);
  equal((await toldTwice(site)).join('; '), '');
}

/** Events that were told more often than what they tell of happened. */
async function toldTwice({ api, path, witness }: Site): Promise<string[]> {
  const found = await api.get(`${path.core('events')}?fieldSelector=involvedObject.kind=DPOJob`);
  const { items } = found as { items: { reason: string; message: string; count: number }[] };
  const made = witness.madeNames();
  const happened: Record<string, (message: string) => number> = {
    Started: (message) => made.filter((one) => `attempt ${one.slice(name.length + 1)}` === message).length,
    Complete: () => 1,
  };
  return items
    .filter(({ reason, message, count }) => count > (happened[reason]?.(message) ?? Infinity))
    .map(({ reason, message, count }) => `${reason} ${message}: ${count} times`);
}
