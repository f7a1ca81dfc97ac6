import { copiedLabels } from '../../crds/labels.ts';
import { cause, type Speaker } from './cause.ts';
import { clueReasons } from './clue.ts';
import type { Statement } from './conditions.ts';
import { nodeLost } from './lost-node.ts';
import type { Observation, ObservedPod } from './observation.ts';
import { livePod, podCondition, trainerState } from './pods.ts';
import { isQueued } from './attempt.ts';

/** Whether the trainer's pod is up, and if not what it waits for, in the words of whoever makes it wait. */
export function podsReady(observation: Observation, now: string): Statement {
  const pod = livePod(observation);
  if (isQueued(observation)) return waitsFor('Queued', queueWords(observation, pod));
  return pod === undefined
    ? withoutPod(observation)
    : (nodeLost(observation, now) ?? unscheduled(pod) ?? waiting(pod) ?? untold(observation, pod) ?? up(pod));
}

function waitsFor(reason: string, message = ''): Statement {
  return { status: 'False', reason, message };
}

function withoutPod({ pods, clue }: Observation): Statement {
  if (pods.some(({ status }) => status?.phase === 'Succeeded')) return waitsFor('Succeeded', 'the trainer has ended');
  return clue === undefined ? waitsFor('NoPod') : cause('jobController', clue.message);
}

function queueWords({ job }: Observation, pod: ObservedPod | undefined): string {
  const queue = job.metadata.labels?.[copiedLabels[0]];
  const held = queue === undefined ? 'the Job is suspended' : `queue ${queue} has not admitted the Job`;
  return pod === undefined ? held : `${held}; pod ${pod.metadata.name} saves and stops`;
}

function unscheduled(pod: ObservedPod): Statement | undefined {
  const condition = podCondition(pod, 'PodScheduled');
  if (condition?.status !== 'False') return undefined;
  const { reason = 'Unschedulable', message = '' } = condition;
  return reason === 'Unschedulable' ? cause('scheduler', message) : waitsFor(reason, message);
}

/** Reasons of the kubelet for a container that waits, by what is amiss; with any other nothing is amiss yet. */
const waitingFor: Readonly<Record<string, Speaker>> = {
  ErrImagePull: 'imagePull',
  ImagePullBackOff: 'imagePull',
  ErrImageNeverPull: 'imagePull',
  InvalidImageName: 'imagePull',
  ImageInspectError: 'imagePull',
  RegistryUnavailable: 'imagePull',
  SignatureValidationFailed: 'imagePull',
  CreateContainerConfigError: 'container',
  CreateContainerError: 'container',
  RunContainerError: 'container',
};

function waiting(pod: ObservedPod): Statement | undefined {
  const { reason = 'Waiting', message = '' } = trainerState(pod)?.waiting ?? {};
  const speaker = waitingFor[reason];
  return speaker && cause(speaker, message);
}

/** A pod on a node without a container, of which only an Event tells why. */
function untold({ clue }: Observation, pod: ObservedPod): Statement | undefined {
  const speaker = clueReasons[clue?.reason ?? ''];
  if (clue === undefined || speaker === undefined || pod.status?.phase === 'Running') return undefined;
  return cause(speaker, clue.message);
}

function up(pod: ObservedPod): Statement {
  const message = `pod ${pod.metadata.name}`;
  if (pod.status?.phase === 'Running') return { status: 'True', reason: 'Running', message };
  return waitsFor(trainerState(pod)?.waiting?.reason ?? 'Starting', message);
}
