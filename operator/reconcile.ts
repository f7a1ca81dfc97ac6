import type { V1ConfigMap, V1Job } from '@kubernetes/client-node';
import type { DPOJob, DPOJobStatus } from '../crds/dpojob.ts';
import { decide } from './decide/decide.ts';
import type { Action, Event, Observation } from './decide/observation.ts';
import { statusChange } from './decide/throttle.ts';
import { runConfigMap } from './desired/run-config.ts';
import { trainerJob } from './desired/trainer-job.ts';

/** What reconcile needs of the world: reads in `observe`, writes in the rest. */
export interface World {
  /** All reads for one DPOJob, or undefined when it is gone. */
  observe(namespace: string, name: string): Promise<Observation | undefined>;
  /** Server-side apply of the status. */
  applyStatus(job: DPOJob, status: DPOJobStatus): Promise<void>;
  /** Creates a child; when the name is taken, answers the UID of the controller that owns what is there. */
  create(child: V1ConfigMap | V1Job): Promise<{ created: true } | { created: false; ownerUID: string | undefined }>;
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
  const { status, actions, events, requeueAfter } = decide(observation, world.now());
  // Before acting: the attempt must be known before its Job exists, else a crash in between could make two.
  const wait = await report(world, observation.job, status);
  for (const action of actions) {
    await act(world, observation, action);
  }
  // After the write and the acts succeeded: a reconcile that is repeated says nothing twice.
  for (const event of events) {
    world.emit(observation.job, event);
  }
  return earliest(requeueAfter, wait);
}

/** Writes the status once: a change of state at once, figures alone at intervals. Answers the seconds to wait. */
async function report(world: World, job: DPOJob, status: DPOJobStatus): Promise<number | undefined> {
  const change = statusChange(job.status, status);
  const wait = change === 'figures' ? world.untilFigures(job.metadata.uid) : 0;
  if (wait > 0) {
    return wait;
  }
  if (change !== 'none') {
    await world.applyStatus(job, status);
  }
  return undefined;
}

async function act(world: World, observation: Observation, action: Action): Promise<void> {
  const { job } = observation;
  const { namespace, name } = job.metadata;
  if (action.kind === 'create') {
    await createOnce(world, job, runConfigMap(job, action.attempt));
    await createOnce(world, job, trainerJob(job, action.attempt, observation.images));
  } else if (action.kind === 'deleteJob') {
    await world.deleteJob(namespace, action.name, action.uid);
  } else {
    await world.deleteDPOJob(namespace, name, action.uid);
  }
}

/** Creates a child or finds it made already; one of the same name and another owner is never touched. */
async function createOnce(world: World, job: DPOJob, child: V1ConfigMap | V1Job): Promise<void> {
  const answer = await world.create(child);
  if (!answer.created && answer.ownerUID !== job.metadata.uid) {
    const what = `${child.kind} ${child.metadata?.name}`;
    const message = `${what} exists and belongs to something else: delete or rename it`;
    world.emit(job, { type: 'Warning', reason: 'NameTaken', message });
    throw new Error(`${job.metadata.namespace}/${job.metadata.name}: ${message}`);
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
