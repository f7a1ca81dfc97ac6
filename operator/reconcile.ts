import type { V1ConfigMap, V1Job, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import type { DPOJob } from '../crds/dpojob.ts';
import type { DPOJobStatus } from '../crds/status.ts';
import { isInvalid, isRefused } from './cluster/errors.ts';
import { labelsTaken, nameTaken, notMade, refused, retrySeconds, type Refusal } from './decide/accepted.ts';
import { started } from './decide/attempt.ts';
import { decide } from './decide/decide.ts';
import type { Action, Decision, Event, Observation } from './decide/observation.ts';
import { withoutPodsWord } from './decide/progress.ts';
import { statusChange } from './decide/throttle.ts';
import { runConfigMap } from './desired/run-config.ts';
import { trainerJob } from './desired/trainer-job.ts';
import { jobsOwnClaim } from './desired/work-claim.ts';

/** What a DPOJob has made for it. */
export type Child = V1ConfigMap | V1Job | V1PersistentVolumeClaim;

/** What has the name of a child already. */
export interface Found {
  /** UID of the controller that owns it. */
  ownerUID: string | undefined;
  /** Whether it has the labels of the child, by which it is watched. */
  labelled: boolean;
}

/** What reconcile needs of the world: reads in `observe`, writes in the rest. */
export interface World {
  /** All reads for one DPOJob, or undefined when it is gone. */
  observe(namespace: string, name: string): Promise<Observation | undefined>;
  /** Server-side apply of the status to the version that is given; answers the job as it is then. */
  applyStatus(job: DPOJob, status: DPOJobStatus): Promise<DPOJob>;
  /** Rejects when the API server has the job in another version than this. */
  confirm(job: DPOJob): Promise<void>;
  /** Rejects when pods, or the Jobs that were found, are not as they were seen, and takes them in as they are. */
  confirmChildren(observation: Observation): Promise<void>;
  /** The ends of deleted pods that were seen are in status now: they need not be seen again. */
  settle(observation: Observation): void;
  /** Creates a child; when the name is taken, answers what is there. Rejects with a conflict when that has just gone. */
  create(child: Child): Promise<{ created: true } | ({ created: false } & Found)>;
  /** What has the name of a child, if anything; a Job is seen from then on as it is. */
  find(child: Child): Promise<Found | undefined>;
  /** Deletes in the foreground if the UID still matches; gone already is no error. */
  deleteJob(namespace: string, name: string, uid: string): Promise<void>;
  deleteDPOJob(namespace: string, name: string, uid: string): Promise<void>;
  emit(job: DPOJob, event: Event): void;
  /** RFC 3339. */
  now(): string;
  /** Seconds until this job's figures may be written, 0 if now. Changes of state never wait. */
  untilFigures(uid: string): number;
}

/** One look at one DPOJob: observe → decide → report → act. Answers when to look again, in seconds. */
export async function reconcile(world: World, namespace: string, name: string): Promise<number | undefined> {
  const observation = await world.observe(namespace, name);
  if (observation === undefined) {
    return undefined;
  }
  const { status, actions, events, requeueAfter, restsOnChildren, undecided } = decide(observation, world.now());
  const unseen = restsOnChildren === true ? await confirm(world, observation) : undefined;
  // What was decided is put down nowhere: how pods ended must be seen again, once the Job is.
  if (unseen !== undefined) return refuse(world, observation.job, unseen);
  // Before acting: the attempt must be known before its Job exists, else a crash in between could make two.
  const { job, wait } = await report(world, observation.job, { status, events });
  // A view that was not written may be an old one: a late watch must not bring a finished job back to life, nor stop one.
  if (job === observation.job && actions.some(({ kind }) => kind !== 'find')) await world.confirm(job);
  const refusal = await actAll(world, { ...observation, job }, actions);
  if (wait === undefined && undecided !== true) world.settle(observation);
  if (refusal !== undefined) return earliest(requeueAfter, await refuse(world, job, refusal));
  return earliest(requeueAfter, wait, observation.clueAfter);
}

/** Rejects when Jobs or pods are not as they were seen; answers what keeps the Job from being seen, if something does. */
async function confirm(world: World, observation: Observation): Promise<Refusal | undefined> {
  const { job, images } = observation;
  const child = trainerJob(job, job.status?.attempt ?? 0, images);
  const found = await world.find(child);
  if (found?.ownerUID === job.metadata.uid && !found.labelled) return refusalOf(job, child, found);
  await world.confirmChildren(observation);
  return undefined;
}

/** Says what stands in the way, once. Answers when to try again, in seconds. */
async function refuse(world: World, job: DPOJob, refusal: Refusal): Promise<number> {
  const events: Event[] = [{ type: 'Warning', ...refusal }];
  await report(world, job, { status: refused(job, refusal, world.now()), events });
  return retrySeconds(job, refusal, world.now());
}

/**
 * Writes the status once: a change of state at once, figures alone at intervals. Events are told with the write, so that
 * a look which is repeated, since an act after it failed, says nothing twice. Answers the job and the seconds to wait.
 */
async function report(
  world: World,
  job: DPOJob,
  { status, events }: Pick<Decision, 'status' | 'events'>,
): Promise<{ job: DPOJob; wait?: number }> {
  const change = statusChange(job.status, status);
  const wait = change === 'figures' ? world.untilFigures(job.metadata.uid) : 0;
  if (wait > 0) {
    return { job, wait };
  }
  if (change === 'none') {
    return { job };
  }
  const written = await write(world, job, status);
  for (const event of events) {
    world.emit(written, event);
  }
  return { job: written };
}

/** What a pod says must not keep the operator from suspending, ending or deleting it: a refused status goes without it. */
async function write(world: World, job: DPOJob, status: DPOJobStatus): Promise<DPOJob> {
  try {
    return await world.applyStatus(job, status);
  } catch (error) {
    if (!isInvalid(error)) {
      throw error;
    }
    const written = await world.applyStatus(job, withoutPodsWord(status, job.status));
    world.emit(written, { type: 'Warning', reason: 'StatusRefused', message: (error as Error).message.slice(0, 1024) });
    return written;
  }
}

/** Does one after the other, up to one that something stands in the way of: answers what. */
async function actAll(world: World, observation: Observation, actions: Action[]): Promise<Refusal | undefined> {
  for (const action of actions) {
    const refusal = await act(world, observation, action);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** Answers what stands in the way, if something does. */
async function act(world: World, { job, images }: Observation, action: Action): Promise<Refusal | undefined> {
  const { namespace, name } = job.metadata;
  if (action.kind === 'create') {
    const { attempt } = action;
    const children = [runConfigMap(job, attempt), jobsOwnClaim(job), trainerJob(job, attempt, images)];
    const made = await createAll(world, job, children);
    // Not before: a Job that cannot be made has not started.
    if (made.created) world.emit(job, started(attempt));
    return made.refusal;
  }
  if (action.kind === 'find') {
    const child = trainerJob(job, action.attempt, images);
    const found = await world.find(child);
    return found && refusalOf(job, child, found);
  }
  if (action.kind === 'deleteJob') {
    await world.deleteJob(namespace, action.name, action.uid);
  } else {
    await world.deleteDPOJob(namespace, name, action.uid);
  }
  return undefined;
}

interface Made {
  created: boolean;
  refusal?: Refusal;
}

/** Creates them in their order, up to one that something stands in the way of. Answers what became of the last. */
async function createAll(world: World, job: DPOJob, children: readonly (Child | undefined)[]): Promise<Made> {
  let made: Made = { created: false };
  for (const child of children) {
    if (made.refusal !== undefined) break;
    if (child !== undefined) made = await createOnce(world, job, child);
  }
  return made;
}

/** What is wrong with what has a child's name; one of another owner is never touched. */
function refusalOf(job: DPOJob, { kind, metadata }: Child, { ownerUID, labelled }: Found): Refusal | undefined {
  const named = `${kind} ${metadata?.name}`;
  if (ownerUID !== job.metadata.uid) return nameTaken(named);
  return labelled ? undefined : labelsTaken(named);
}

/** Creates a child or finds it made already. */
async function createOnce(world: World, job: DPOJob, child: Child): Promise<Made> {
  try {
    const answer = await world.create(child);
    if (answer.created) return { created: true };
    const refusal = refusalOf(job, child, answer);
    return { created: false, ...(refusal === undefined ? {} : { refusal }) };
  } catch (error) {
    if (!isRefused(error)) throw error;
    return { created: false, refusal: notMade(child.kind, child.metadata?.name, error.message) };
  }
}

function earliest(...seconds: (number | undefined)[]): number | undefined {
  const known = seconds.filter((one) => one !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
