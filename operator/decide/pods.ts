import { trainerContainer } from '../desired/failure-policy.ts';
import type { Statement } from './conditions.ts';
import type { ContainerState, Observation, ObservedPod } from './observation.ts';

/** The pod that runs or is about to: the one not ended, of which there is at most one. */
export function livePod(pods: ObservedPod[]): ObservedPod | undefined {
  return pods.find(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed');
}

/** State of the trainer's container; others may stand beside it, put in by a service mesh or the like. */
export function trainerState({ status }: ObservedPod): ContainerState | undefined {
  return status?.containerStatuses?.find(({ name }) => name === trainerContainer)?.state;
}

/** Whether the trainer's pod is up, and if not what it waits for, in the words of the scheduler or the kubelet. */
export function podsReady({ jobs, pods }: Observation): Statement {
  const pod = livePod(pods);
  if (pod === undefined) {
    if (pods.some(({ status }) => status?.phase === 'Succeeded')) return waitsFor('Succeeded', 'the trainer has ended');
    const queued = jobs.some(({ spec }) => spec?.suspend === true);
    return queued ? waitsFor('Queued', 'the Job is suspended') : waitsFor('NoPod');
  }
  return unscheduled(pod) ?? waiting(pod) ?? up(pod);
}

function waitsFor(reason: string, message = ''): Statement {
  return { status: 'False', reason, message };
}

function unscheduled({ status }: ObservedPod): Statement | undefined {
  const condition = status?.conditions?.find((one) => one.type === 'PodScheduled' && one.status === 'False');
  return condition && waitsFor(condition.reason ?? 'Unschedulable', condition.message);
}

function waiting(pod: ObservedPod): Statement | undefined {
  const state = trainerState(pod)?.waiting;
  return state && waitsFor(state.reason ?? 'Waiting', state.message);
}

function up({ metadata, status }: ObservedPod): Statement {
  const message = `pod ${metadata.name}`;
  return status?.phase === 'Running' ? { status: 'True', reason: 'Running', message } : waitsFor('Starting', message);
}
