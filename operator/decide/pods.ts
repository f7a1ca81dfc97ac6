import type { Statement } from './conditions.ts';
import type { Observation, ObservedPod } from './observation.ts';

/** The pod that runs or is about to: the one not ended, of which there is at most one. */
export function livePod(pods: ObservedPod[]): ObservedPod | undefined {
  return pods.find(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed');
}

/** Whether the trainer's pod is up, and if not what it waits for, in the words of the scheduler or the kubelet. */
export function podsReady({ jobs, pods }: Observation): Statement {
  const pod = livePod(pods);
  if (pod === undefined) {
    const queued = jobs.some(({ spec }) => spec?.suspend === true);
    return { status: 'False', reason: queued ? 'Queued' : 'NoPod', message: queued ? 'the Job is suspended' : '' };
  }
  const unscheduled = pod.status?.conditions?.find((c) => c.type === 'PodScheduled' && c.status === 'False');
  if (unscheduled !== undefined) {
    return { status: 'False', reason: unscheduled.reason ?? 'Unschedulable', message: unscheduled.message ?? '' };
  }
  const state = pod.status?.containerStatuses?.[0]?.state;
  if (state?.waiting !== undefined) {
    return { status: 'False', reason: state.waiting.reason ?? 'Waiting', message: state.waiting.message ?? '' };
  }
  const running = pod.status?.phase === 'Running';
  return running
    ? { status: 'True', reason: 'Running', message: `pod ${pod.metadata.name}` }
    : { status: 'False', reason: 'Starting', message: `pod ${pod.metadata.name}` };
}
