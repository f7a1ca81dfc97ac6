import type { DPOJob, DPOJobSpec } from '../crds/dpojob.ts';
import type { DPOJobStatus } from '../crds/status.ts';
import { labels } from '../crds/labels.ts';
import { compared, refreshPods, resourceOf, runConfig, versions } from './children.ts';
import type { Cluster, Stored } from './cluster/cluster.ts';
import { ApiError, isAlreadyExists, isConflict, isNotFound } from './cluster/errors.ts';
import { resources } from './cluster/resource.ts';
import { clueAbout } from './decide/clue.ts';
import type { Event, Observation } from './decide/observation.ts';
import { childName } from './desired/naming.ts';
import { dpojobOf, family, familyOfJob, familyOfPod } from './pod-owner.ts';
import type { TrainerImages } from './desired/trainer-job.ts';
import { keepDPOJob, keepJob, type StoredDPOJob, type StoredJob, type StoredPod } from './keep.ts';
import { Clues } from './loop/clues.ts';
import { FiguresBudget } from './loop/figures-budget.ts';
import type { Recorder } from './loop/recorder.ts';
import { Store } from './loop/store.ts';
import { Answers } from './observe.ts';
import type { Child, World } from './reconcile.ts';

/** Deleted pods of one DPOJob that are kept for a look at how they ended. */
const mostDeparted = 16;

/** The objects that the operator watches. */
export class Stores {
  readonly dpojobs = new Store<StoredDPOJob>();
  readonly jobs = new Store<StoredJob>(familyOfJob);
  readonly pods = new Store<StoredPod>(familyOfPod);
}

/** The world as an API server shows it: reads come from the watched stores, writes go to the server and into the stores. */
export class ClusterWorld implements World {
  readonly stores: Stores;
  readonly answers = new Answers();
  readonly #cluster: Cluster;
  readonly #recorder: Recorder;
  readonly #images: TrainerImages;
  readonly #clues: Clues;
  readonly #budget = new FiguresBudget();
  /** Pods that were deleted before a reconcile read how they ended, by the DPOJob's UID. */
  readonly #departed = new Map<string, StoredPod[]>();

  constructor(cluster: Cluster, stores: Stores, recorder: Recorder, images: TrainerImages) {
    this.#cluster = cluster;
    this.stores = stores;
    this.#recorder = recorder;
    this.#images = images;
    this.#clues = new Clues(cluster);
    stores.pods.onChange((before, after) => {
      if (before === undefined || after?.metadata.uid === before.metadata.uid) return;
      // Of another's nothing is, and of a DPOJob that is gone nothing is to be read any more.
      const uid = this.jobOf(before)?.metadata.uid;
      if (uid === undefined) return;
      // A standby reads none of them.
      const others = (this.#departed.get(uid) ?? []).filter((pod) => pod.metadata.uid !== before.metadata.uid);
      this.#departed.set(uid, [...others, before].slice(-mostDeparted));
    });
    stores.dpojobs.onChange((before, after) => {
      if (before !== undefined && before.metadata.uid !== after?.metadata.uid) this.forget(before.metadata.uid);
    });
  }

  now = (): string => new Date().toISOString();
  untilFigures = (uid: string): number => this.#budget.until(uid);
  emit = (job: DPOJob, event: Event): void => this.#recorder.emit(job, event);

  async observe(namespace: string, name: string): Promise<Observation | undefined> {
    const job = this.stores.dpojobs.get(namespace, name);
    if (job === undefined) return undefined;
    const { uid } = job.metadata;
    const jobs = this.stores.jobs.byIndex(family(job.metadata, uid));
    const pods = this.#podsOf(job);
    const departed = this.departed(uid);
    const answer = this.answers.of(uid, pods);
    const attemptSpec = jobs.length > 0 ? await this.#attemptSpec(job) : undefined;
    const clue = await this.#clues.of(uid, namespace, clueAbout({ job, jobs, pods, departed }));
    return {
      job,
      jobs,
      pods,
      departed,
      images: this.#images,
      ...clue,
      ...(answer === undefined ? {} : { answer }),
      ...(attemptSpec === undefined ? {} : { attemptSpec }),
    };
  }

  /** The DPOJob whose trainer a pod is, if it is there: others may bear its labels. */
  jobOf(pod: StoredPod): StoredDPOJob | undefined {
    const { namespace, labels: { [labels.dpojob]: name = '' } = {} } = pod.metadata;
    const job = this.stores.dpojobs.get(namespace, name);
    return job?.metadata.uid === dpojobOf(pod) ? job : undefined;
  }

  settle({ job: { metadata }, departed }: Observation): void {
    const { uid } = metadata;
    const left = (this.#departed.get(uid) ?? []).filter((pod) => departed?.has(pod.metadata.uid) !== true);
    if (left.length === 0) this.#departed.delete(uid);
    else this.#departed.set(uid, left);
  }

  /** UIDs of the deleted pods of a DPOJob whose end is still to be read. */
  departed(uid: string): ReadonlySet<string> {
    return new Set(this.#gone(uid).map((pod) => pod.metadata.uid));
  }

  /** One that only lost the label by which it is watched may be back. */
  #gone(uid: string): StoredPod[] {
    const isGone = ({ metadata: { namespace, name, uid } }: StoredPod): boolean =>
      this.stores.pods.get(namespace, name)?.metadata.uid !== uid;
    return (this.#departed.get(uid) ?? []).filter(isGone);
  }

  async applyStatus(job: DPOJob, status: DPOJobStatus): Promise<DPOJob> {
    const { apiVersion, kind } = job;
    // The version makes the write fail when the decision rests on an old view, the UID when it is another object.
    const { name, namespace, uid, resourceVersion } = (job as StoredDPOJob).metadata;
    const object = { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion }, status };
    const written = keepDPOJob(await this.#cluster.applyStatus(resources.dpojobs, object).catch(this.#lookAgain(job)));
    this.stores.dpojobs.put(written);
    this.#budget.wrote(uid);
    return written;
  }

  async confirm(job: DPOJob): Promise<void> {
    const { name, namespace, resourceVersion } = (job as StoredDPOJob).metadata;
    const found = await this.#refresh(job);
    if (found?.metadata.resourceVersion === resourceVersion) return;
    throw new ApiError(409, 'Conflict', `DPOJob ${namespace}/${name} has changed since it was seen`);
  }

  async confirmChildren({ job, jobs, pods, departed }: Observation): Promise<void> {
    const { namespace, name, uid } = job.metadata;
    const { stores } = this;
    await refreshPods(this.#cluster, stores.pods, job);
    const seen = [...jobs, ...pods.filter((pod) => departed?.has(pod.metadata.uid) !== true)];
    const present = [...stores.jobs.byIndex(family(job.metadata, uid)), ...this.#podsOf(job, [])];
    if (versions(seen) === versions(present)) return;
    const what = `Jobs or pods of DPOJob ${namespace}/${name}`;
    throw new ApiError(409, 'Conflict', `${what} have changed since they were seen`);
  }

  async create(child: Child): ReturnType<World['create']> {
    try {
      const made = await this.#cluster.create(resourceOf(child), child.metadata?.namespace, child);
      if (child.kind === 'Job') this.stores.jobs.put(keepJob(made));
      return { created: true };
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const found = await this.find(child);
      if (found === undefined)
        throw new ApiError(409, 'Conflict', `${child.kind} ${child.metadata?.name} has just gone`);
      return { created: false, ...found };
    }
  }

  async find(child: Child): ReturnType<World['find']> {
    const { namespace = '', name = '' } = child.metadata ?? {};
    const there = await this.#cluster.get(resourceOf(child), namespace, name);
    const found = there && compared(child, there);
    if (child.kind !== 'Job') return found;
    const { jobs } = this.stores;
    const seen = jobs.get(namespace, name);
    // Whoever finds a Job of its own that it did not know of must not go on without it, nor with one that is gone.
    if (found?.labelled === true) jobs.put(keepJob(there as Stored));
    else if (there === undefined && seen !== undefined) jobs.delete(seen);
    return found;
  }

  /** What is left of it is seen at once: in an older view it would still run, and a resume would take it up again. */
  async deleteJob(namespace: string, name: string, uid: string): Promise<void> {
    const left = await this.#cluster.delete(resources.jobs, namespace, name, uid);
    const seen = this.stores.jobs.get(namespace, name);
    if (left !== undefined) this.stores.jobs.put(keepJob(left));
    else if (seen?.metadata.uid === uid) this.stores.jobs.delete(seen);
  }

  async deleteDPOJob(namespace: string, name: string, uid: string): Promise<void> {
    await this.#cluster.delete(resources.dpojobs, namespace, name, uid);
  }

  /** After a write that rests on an old view the next look must not wait for the watch, which may be late or dead. */
  #lookAgain(job: DPOJob) {
    return async (refusal: unknown): Promise<never> => {
      if (isConflict(refusal) || isNotFound(refusal)) await this.#refresh(job).catch(() => undefined);
      throw refusal;
    };
  }

  /** Takes the DPOJob in as the API server has it now. */
  async #refresh(job: DPOJob): Promise<Stored | undefined> {
    const { namespace, name } = job.metadata;
    const found = await this.#cluster.get(resources.dpojobs, namespace, name);
    if (found === undefined) this.stores.dpojobs.delete(job as StoredDPOJob);
    else this.stores.dpojobs.put(keepDPOJob(found));
    return found;
  }

  /** Pods of the present attempt. */
  #podsOf({ metadata, status }: DPOJob, departed = this.#gone(metadata.uid)): StoredPod[] {
    const attempt = String(status?.attempt ?? 0);
    const ofAttempt = (pod: StoredPod): boolean => pod.metadata.labels?.[labels.attempt] === attempt;
    return [...this.stores.pods.byIndex(family(metadata, metadata.uid)), ...departed].filter(ofAttempt);
  }

  /** What the present attempt runs with: read only when the specification changed since the status was written. */
  async #attemptSpec({ metadata, status, ...rest }: StoredDPOJob): Promise<DPOJobSpec | undefined> {
    if (status?.attempt === undefined || status.observedGeneration === metadata.generation) return undefined;
    const name = childName({ metadata, ...rest }, status.attempt);
    const found = (await this.#cluster.get(resources.configMaps, metadata.namespace, name)) as
      | (Stored & { data?: Record<string, string> })
      | undefined;
    const run = found && runConfig(found.data?.['job.json']);
    return run?.uid === metadata.uid ? run.spec : undefined;
  }

  /** Nothing is kept of a DPOJob that is gone. */
  forget(uid: string): void {
    this.answers.forget(uid);
    this.#budget.forget(uid);
    this.#clues.forget(uid);
    this.#departed.delete(uid);
  }
}
