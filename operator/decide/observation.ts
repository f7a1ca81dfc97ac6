import type { DPOJob, DPOJobSpec } from '../../crds/dpojob.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import type { Progress } from '../../crds/progress.ts';
import type { TrainerImages } from '../desired/trainer-job.ts';

/** What is read of a child Job: the JSON of the API server, of which only these fields matter. */
export interface ObservedJob {
  metadata: {
    name: string;
    uid: string;
    labels?: Record<string, string>;
    deletionTimestamp?: string;
    ownerReferences?: { uid: string; controller?: boolean }[];
  };
  spec?: { suspend?: boolean };
  status?: { conditions?: JobCondition[] };
}

export interface JobCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: { exitCode: number; reason?: string; message?: string; startedAt?: string; finishedAt?: string };
}

export interface PodCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface ObservedPod {
  metadata: {
    name: string;
    uid: string;
    creationTimestamp: string;
    labels?: Record<string, string>;
    deletionTimestamp?: string;
    ownerReferences?: { uid: string; kind: string; name: string; controller?: boolean }[];
  };
  spec?: { nodeName?: string };
  status?: {
    phase?: string;
    podIP?: string;
    reason?: string;
    message?: string;
    conditions?: PodCondition[];
    containerStatuses?: { name: string; state?: ContainerState }[];
  };
}

/** The latest answered poll of the trainer. A poll that failed changes none of it: unknown is not stalled. */
export interface Answer {
  progress: Progress;
  /** When it was answered, and the first answer with the same heartbeat; RFC 3339. */
  answeredAt: string;
  heartbeatSince: string;
}

/** The latest warning that Kubernetes told, as an Event, of a Job that gets no pod or of a pod that gets no container. */
export interface Clue {
  reason: string;
  message: string;
}

/**
 * Everything about one DPOJob that was read for one reconcile. Children of other owners are left out, and pods of which no
 * Job of this DPOJob's is the controller.
 */
export interface Observation {
  job: DPOJob;
  jobs: ObservedJob[];
  /** Pods of the present attempt, ended ones included. */
  pods: ObservedPod[];
  /** UIDs of those of them that are gone: only how they ended is still to be read. */
  departed?: ReadonlySet<string>;
  answer?: Answer;
  clue?: Clue;
  /** Seconds until a further clue may be read; absent where none is looked for. */
  clueAfter?: number;
  /** The specification that the present attempt runs with, read from its ConfigMap. */
  attemptSpec?: DPOJobSpec;
  images: TrainerImages;
}

export interface Event {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
}

export type Action =
  | { kind: 'create'; attempt: number }
  /** A pod of the attempt is there and its Job is not seen: gone before its pod, or without the labels that it is watched by. */
  | { kind: 'find'; attempt: number }
  | { kind: 'deleteJob'; name: string; uid: string }
  | { kind: 'deleteDPOJob'; uid: string };

/** What to do: the status is written first, so that an attempt is known before its Job exists. */
export interface Decision {
  status: DPOJobStatus;
  actions: Action[];
  events: Event[];
  /** When to look again, in seconds, if nothing changes before. */
  requeueAfter?: number;
  /** It cannot be taken back, and is right only if Jobs and pods are as they were seen: a watch may be late or dead. */
  restsOnChildren?: boolean;
  /** Nothing is decided yet: what was seen must be seen again. */
  undecided?: boolean;
}

/** Seconds from one RFC 3339 time to another. */
export function secondsBetween(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / 1000;
}
