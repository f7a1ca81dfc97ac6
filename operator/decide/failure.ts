import type { DPOJobStatus } from '../../crds/status.ts';
import { exitCodes, exitReason, permanentExitCodes } from '../../crds/exit-codes.ts';
import { printable } from '../../crds/printable.ts';
import type { TerminationMessage } from '../../crds/progress.ts';
import { trainerContainer } from '../desired/failure-policy.ts';
import { exitWords, outOfMemory } from './exit-words.ts';
import type { ContainerState, Observation, ObservedPod } from './observation.ts';
import { lastSaid } from './last-said.ts';
import { byCreation, podCondition, trainerState } from './pods.ts';

type Terminated = NonNullable<ContainerState['terminated']>;

/** How a pod ended. */
export interface Ended {
  pod: string;
  podUID: string;
  /** When the pod was made, by the API server's clock: the order of pods, which each end by their own node's. */
  createdAt: string;
  exitCode: number | undefined;
  reason: string;
  message: string;
  startedAt?: string;
  finishedAt: string;
  disrupted: boolean;
  /** Whether somebody deleted the pod, as the Job controller does when its Job is suspended. */
  toldToGo: boolean;
  said?: TerminationMessage;
}

/** Pods that ended without finishing the job, oldest first. */
export function endedPods(observation: Observation): Ended[] {
  const pods = observation.pods.toSorted(byCreation);
  return pods.map((pod) => endedPod(pod, observation)).filter((one) => one !== undefined);
}

/** When a pod ended, by its node's clock. */
export function endTime(pod: ObservedPod): string | undefined {
  const terminated = trainerState(pod)?.terminated;
  return terminated === undefined ? endedWithoutTrainer(pod) : terminated.finishedAt;
}

function endedPod(pod: ObservedPod, observation: Observation): Ended | undefined {
  const terminated = trainerState(pod)?.terminated;
  const disruption = podCondition(pod, 'DisruptionTarget');
  const finishedAt = endTime(pod);
  if (finishedAt === undefined || terminated?.exitCode === 0) {
    return undefined;
  }
  const said = lastSaid(pod);
  return {
    pod: pod.metadata.name,
    podUID: pod.metadata.uid,
    createdAt: pod.metadata.creationTimestamp,
    exitCode: terminated?.exitCode,
    reason: endReason(pod, terminated, said),
    message: lastWords(pod, said, observation),
    ...(terminated?.startedAt === undefined ? {} : { startedAt: terminated.startedAt }),
    finishedAt,
    disrupted: disruption?.status === 'True',
    toldToGo: pod.metadata.deletionTimestamp !== undefined,
    ...(said === undefined ? {} : { said }),
  };
}

/** When a pod failed whose node never said how its trainer ended: evicted before it ran, or cleared away with its node. */
function endedWithoutTrainer(pod: ObservedPod): string | undefined {
  const failed = pod.status?.phase === 'Failed';
  const told = podCondition(pod, 'DisruptionTarget') ?? podCondition(pod, 'Ready') ?? podCondition(pod, 'PodScheduled');
  return failed ? told?.lastTransitionTime : undefined;
}

/** Letters of what is said of an end. */
const longest = 1024;

/** The trainer's own message, else what Kubernetes knows of the end, else what the kubelet kept of its output. */
function lastWords(pod: ObservedPod, said: TerminationMessage | undefined, { job, attemptSpec }: Observation): string {
  const { reason, exitCode, message: kept } = trainerState(pod)?.terminated ?? {};
  if (reason === 'OOMKilled') {
    return outOfMemory(attemptSpec ?? job.spec, said?.progress).slice(0, longest);
  }
  const output = said === undefined ? kept : undefined;
  const words = [said?.message, disruptionWords(pod), pod.status?.message, output];
  return printable((words.find((one) => one !== undefined && one !== '') ?? exitWords(exitCode)).slice(0, longest));
}

/** Reasons of DisruptionTarget and what they mean to a user. */
const disruptions: Readonly<Record<string, string>> = {
  PreemptionByScheduler: 'a pod of higher priority took its place',
  EvictionByEvictionAPI: 'its node was drained',
  DeletionByTaintManager: 'its node does not answer, or was tainted',
  DeletionByPodGC: 'its node is gone',
  TerminationByKubelet: 'its node ran short of something, or was shut down',
};

function disruptionWords(pod: ObservedPod): string {
  const { status, reason = '', message } = podCondition(pod, 'DisruptionTarget') ?? {};
  const known = status === 'True' ? disruptions[reason] : undefined;
  const detail = pod.status?.message ?? message ?? '';
  return known === undefined ? '' : [known, detail].filter((part) => part !== '').join(': ');
}

/**
 * A permanent exit code has its own name; else the kernel's word (OOMKilled) comes first, then who took the pod away, then
 * the exit code's name, then what the trainer said: a name of a failure, since any other word would stand for what only the
 * operator can know.
 */
function endReason(pod: ObservedPod, terminated: Terminated | undefined, said: TerminationMessage | undefined): string {
  const { exitCode = -1, reason = 'Error' } = terminated ?? {};
  const named = exitReason(exitCode);
  const permanent = (permanentExitCodes as readonly number[]).includes(exitCode);
  const kubelet = sayNothing.has(reason) ? undefined : reason;
  const spoken = failures.has(said?.reason ?? '') ? said?.reason : undefined;
  const reasons = [permanent ? named : undefined, kubelet, takenAwayBy(pod), named, spoken, 'Error'];
  return (reasons.find((one) => one !== undefined) as string).slice(0, 63);
}

/** What a trainer may say that it failed for. */
const failures: ReadonlySet<string> = new Set(Object.keys(exitCodes).filter((name) => name !== 'Complete'));

/** Reasons of the kubelet that say no more than that a container failed. */
const sayNothing = new Set(['Error', 'ContainerStatusUnknown']);

function takenAwayBy(pod: ObservedPod): string | undefined {
  const disruption = podCondition(pod, 'DisruptionTarget');
  return pod.status?.reason ?? (disruption?.status === 'True' ? disruption.reason : undefined);
}

export function lastFailure(ended: Ended): NonNullable<DPOJobStatus['lastFailure']> {
  const { reason, exitCode, pod, message, finishedAt: time } = ended;
  const exit = exitCode === undefined ? {} : { exitCode, container: trainerContainer };
  return { reason, ...exit, pod, message, time };
}
