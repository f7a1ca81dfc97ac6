import type { DPOJobStatus } from '../../crds/dpojob.ts';
import { exitReason } from '../../crds/exit-codes.ts';
import { terminationMessageSchema } from '../../crds/progress.ts';
import type { TerminationMessage } from '../../crds/progress.ts';
import { trainerContainer } from '../desired/failure-policy.ts';
import type { ContainerState, ObservedPod } from './observation.ts';
import { trainerState } from './pods.ts';

/** How a pod ended. */
export interface Ended {
  pod: string;
  exitCode: number;
  reason: string;
  message: string;
  startedAt?: string;
  finishedAt: string;
  disrupted: boolean;
  said?: TerminationMessage;
}

/** Ended containers that did not finish the job, oldest first. */
export function endedPods(pods: ObservedPod[]): Ended[] {
  const ended = pods.map(endedPod).filter((one) => one !== undefined);
  return ended.toSorted((a, b) => Date.parse(a.finishedAt) - Date.parse(b.finishedAt));
}

function endedPod(pod: ObservedPod): Ended | undefined {
  const terminated = trainerState(pod)?.terminated;
  if (terminated?.finishedAt === undefined || terminated.exitCode === 0) {
    return undefined;
  }
  const said = parseTermination(terminated.message);
  return {
    pod: pod.metadata.name,
    exitCode: terminated.exitCode,
    reason: endReason(terminated, said),
    message: lastWords(pod, terminated.message, said),
    ...(terminated.startedAt === undefined ? {} : { startedAt: terminated.startedAt }),
    finishedAt: terminated.finishedAt,
    disrupted: isDisrupted(pod),
    ...(said === undefined ? {} : { said }),
  };
}

/** The trainer's message, else what the kubelet kept of its output, else why the pod went. */
function lastWords(pod: ObservedPod, kept: string | undefined, said: TerminationMessage | undefined): string {
  return (said?.message ?? kept ?? pod.status?.message ?? '').slice(0, 1024);
}

function isDisrupted({ status }: ObservedPod): boolean {
  return (status?.conditions ?? []).some((one) => one.type === 'DisruptionTarget' && one.status === 'True');
}

/** The kernel's word (OOMKilled) comes first, then the exit code's name, then what the trainer said. */
function endReason(
  terminated: NonNullable<ContainerState['terminated']>,
  said: TerminationMessage | undefined,
): string {
  if (terminated.reason !== undefined && terminated.reason !== 'Error') {
    return terminated.reason.slice(0, 63);
  }
  const spoken = said?.reason === 'Running' ? undefined : said?.reason;
  return exitReason(terminated.exitCode) ?? spoken ?? 'Error';
}

/** The trainer's last record, or undefined if it is not one: the pod's word is untrusted. */
export function parseTermination(message: string | undefined): TerminationMessage | undefined {
  try {
    return terminationMessageSchema.safeParse(JSON.parse(message ?? '')).data;
  } catch {
    return undefined;
  }
}

export function lastFailure(ended: Ended): NonNullable<DPOJobStatus['lastFailure']> {
  const { reason, exitCode, pod, message, finishedAt: time } = ended;
  return { reason, exitCode, container: trainerContainer, pod, message, time };
}
