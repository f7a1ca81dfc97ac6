import { trainerContainer } from '../desired/failure-policy.ts';
import type { ContainerState, Observation, ObservedPod, PodCondition } from './observation.ts';

/** The pod that runs or is about to: the one neither ended nor gone, of which there is at most one. */
export function livePod({ pods, departed }: Pick<Observation, 'pods' | 'departed'>): ObservedPod | undefined {
  const present = pods.filter(({ metadata }) => departed?.has(metadata.uid) !== true);
  return present.find(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed');
}

/**
 * Whether a trainer of the present attempt may still run: its pod is there and has not ended. A Job that was deleted in the
 * background, as kubectl does it, is gone before its pods have saved and stopped.
 */
export const mayStillRun = (observation: Pick<Observation, 'pods' | 'departed'>): boolean =>
  livePod(observation) !== undefined;

/** Oldest first by the API server's clock: two pods have the clocks of two nodes, which are never compared. */
export const byCreation = (a: ObservedPod, b: ObservedPod): number =>
  Date.parse(a.metadata.creationTimestamp) - Date.parse(b.metadata.creationTimestamp);

/** State of the trainer's container; others may stand beside it, put in by a service mesh or the like. */
export function trainerState({ status }: ObservedPod): ContainerState | undefined {
  return status?.containerStatuses?.find(({ name }) => name === trainerContainer)?.state;
}

/** A condition of a pod, by its type. */
export function podCondition({ status }: ObservedPod, type: string): PodCondition | undefined {
  return status?.conditions?.find((one) => one.type === type);
}
