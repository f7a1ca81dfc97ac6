import type { Speaker } from './cause.ts';
import type { Observation } from './observation.ts';
import { livePod, trainerState } from './pods.ts';

/** Reasons of Events that tell what no status does, and who gives them. */
export const clueReasons: Readonly<Record<string, Speaker>> = {
  FailedCreate: 'jobController',
  FailedMount: 'volume',
  FailedAttachVolume: 'volume',
  FailedMapVolume: 'volume',
  FailedCreatePodSandBox: 'sandbox',
};

/** The object whose Events may tell why nothing happens; those from before `since` (RFC 3339) are of something else. */
export interface ClueAbout {
  uid: string;
  since: string;
}

/** A Job that has no pod, or a pod on a node that has no container yet. Undefined where status tells it all. */
export function clueAbout(observation: Omit<Observation, 'images'>): ClueAbout | undefined {
  const { jobs, pods } = observation;
  const child = jobs.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  const ended = child?.status?.conditions?.some(({ type, status }) => type !== 'Suspended' && status === 'True');
  if (child === undefined || child.spec?.suspend === true || ended) return undefined;
  const pod = livePod(observation);
  if (pod !== undefined) return isMade(pod) ? { uid: pod.metadata.uid, since: never } : undefined;
  const ends = pods.map((one) => trainerState(one)?.terminated?.finishedAt ?? never).toSorted();
  const succeeded = pods.some(({ status }) => status?.phase === 'Succeeded');
  return succeeded ? undefined : { uid: child.metadata.uid, since: ends.at(-1) ?? never };
}

const never = '1970-01-01T00:00:00Z';

/** Whether the kubelet has the pod and has made no container of it. */
function isMade(pod: Observation['pods'][number]): boolean {
  const waiting = trainerState(pod)?.waiting?.reason ?? 'ContainerCreating';
  const placed = pod.spec?.nodeName !== undefined;
  const begun = trainerState(pod)?.running !== undefined || trainerState(pod)?.terminated !== undefined;
  return placed && !begun && ['ContainerCreating', 'PodInitializing'].includes(waiting);
}
