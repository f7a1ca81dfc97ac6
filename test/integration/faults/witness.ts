import type { DPOJob } from '../../../crds/dpojob.ts';
import type { DPOJobStatus } from '../../../crds/status.ts';
import type { Cluster, Stored } from '../../../operator/cluster/cluster.ts';
import { resources } from '../../../operator/cluster/resource.ts';
import type { ObservedJob, ObservedPod } from '../../../operator/decide/observation.ts';
import { Reflector } from '../../../operator/loop/reflector.ts';
import { Store } from '../../../operator/loop/store.ts';
import { changeProblems } from '../../operator/invariants.ts';

export type SeenJob = Stored & ObservedJob;
export type SeenPod = Stored & ObservedPod;
export type SeenDPOJob = Stored & DPOJob;

const isOver = ({ state }: DPOJobStatus): boolean => state === 'Complete' || state === 'Failed';

/** Whether a Job may have a pod, now or later. */
export const isLive = ({ metadata, status }: SeenJob): boolean =>
  metadata.deletionTimestamp === undefined &&
  !status?.conditions?.some(({ type, status }) => status === 'True' && (type === 'Complete' || type === 'Failed'));

/** Sees all that happens in a namespace, past any fault, and notes what must never happen. */
export class Witness {
  readonly dpojobs = new Store<SeenDPOJob>();
  readonly jobs = new Store<SeenJob>();
  readonly pods = new Store<SeenPod>();
  readonly problems: string[] = [];
  /** Every Job that was ever made, by its UID. */
  readonly made = new Map<string, { name: string; version: bigint }>();
  /** Version at which a DPOJob was first seen to be over, by its UID. */
  readonly #over = new Map<string, bigint>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[];

  constructor(cluster: Cluster, namespace: string) {
    this.dpojobs.onChange((before, after) => this.#seeDPOJob(before, after));
    this.jobs.onChange((_before, after) => this.#seeJob(after));
    const follow = <T extends Stored>(resource: (typeof resources)['jobs' | 'dpojobs' | 'pods'], store: Store<T>) =>
      new Reflector<T>({
        cluster,
        resource,
        selection: { namespace },
        store,
        keep: (object) => object as T,
        beat: () => undefined,
        warn: () => undefined,
      }).run(this.#stop.signal);
    this.#running = [
      follow(resources.dpojobs, this.dpojobs),
      follow(resources.jobs, this.jobs),
      follow(resources.pods, this.pods),
    ];
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  /** Names of the Jobs that were ever made, each as often as it was. */
  madeNames(): string[] {
    return [...this.made.values()].map(({ name }) => name).toSorted();
  }

  /** What was made after its DPOJob was over: versions of all kinds come from one counter. */
  revived(): string[] {
    return [...this.jobs.all()]
      .filter(({ metadata }) => {
        const owner = metadata.ownerReferences?.[0]?.uid ?? '';
        return (this.made.get(metadata.uid)?.version ?? 0n) > (this.#over.get(owner) ?? Infinity);
      })
      .map(({ metadata }) => `${metadata.name} was made of a DPOJob that was over`);
  }

  #seeDPOJob(before: SeenDPOJob | undefined, after: SeenDPOJob | undefined): void {
    if (after === undefined) return;
    const { uid, name, resourceVersion } = after.metadata;
    if (before?.metadata.uid === uid) {
      const found = changeProblems(before.status ?? {}, after.status ?? {});
      this.problems.push(...found.map((problem) => `${name}: ${problem}`));
    }
    if (isOver(after.status ?? {}) && !this.#over.has(uid)) this.#over.set(uid, BigInt(resourceVersion));
  }

  #seeJob(after: SeenJob | undefined): void {
    if (after === undefined) return;
    const { uid, name, resourceVersion, ownerReferences } = after.metadata;
    if (!this.made.has(uid)) this.made.set(uid, { name, version: BigInt(resourceVersion) });
    const owner = ownerReferences?.[0]?.uid;
    const live = [...this.jobs.all()].filter((one) => one.metadata.ownerReferences?.[0]?.uid === owner && isLive(one));
    if (live.length > 1) this.problems.push(`live at once: ${live.map(({ metadata }) => metadata.name).join(', ')}`);
  }
}
