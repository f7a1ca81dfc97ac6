import type { ObservedJob, ObservedPod } from '../../../operator/decide/observation.ts';
import { trainerState } from '../../../operator/decide/pods.ts';
import { after, aRecord, leaves } from '../observed.ts';

/** Whether a Job has not ended. */
export const isActive = ({ status }: ObservedJob): boolean =>
  status?.conditions?.some(({ type }) => type !== 'Suspended') !== true;

/** The Job controller says whether a Job is held back when that changes. */
export function hold(child: ObservedJob, lastTransitionTime: string): void {
  const status = child.spec?.suspend === true ? 'True' : 'False';
  if (status === (child.status?.conditions?.[0]?.status ?? 'False')) return;
  child.status = { conditions: [{ type: 'Suspended', status, lastTransitionTime }] };
}

export function close(child: ObservedJob, type: 'Complete' | 'Failed', reason: string, time: string): void {
  child.status = { conditions: [{ type, status: 'True', reason, message: reason, lastTransitionTime: time }] };
}

const containers = (state: object) => [{ name: 'trainer', state }];

export function begin(pod: ObservedPod, seconds: number): void {
  if (pod.status?.phase !== 'Pending') return;
  const containerStatuses = containers({ running: { startedAt: after(seconds) } });
  pod.status = { phase: 'Running', podIP: '10.0.0.1', containerStatuses };
  pod.spec = { nodeName: 'node' };
}

export function wait(pod: ObservedPod, reason: string): void {
  if (pod.status?.phase === 'Pending') pod.status.containerStatuses = containers({ waiting: { reason } });
}

/** The node controller takes readiness from the pods of a node that is silent. */
export function lose(pod: ObservedPod, isLost: boolean, lastTransitionTime: string): void {
  if (pod.status?.phase !== 'Running') return;
  const ready = { type: 'Ready', status: isLost ? 'False' : 'True', lastTransitionTime };
  pod.status.conditions = [ready, { type: 'ContainersReady', status: 'True', lastTransitionTime }];
}

/** How a trainer ends, besides its exit code. */
export interface How {
  checkpoint?: boolean;
  disrupted?: boolean;
  reason?: string;
}

/** The trainer of a pod ends after a step, by the clock of its node. */
export function finish(pod: ObservedPod, exitCode: number, at: { step: number; seconds: number }, how: How): void {
  const { step, seconds } = at;
  const ended = exitCode === 0 ? { phase: 'Succeeded', reason: 'Completed' } : { phase: 'Failed', reason: 'Error' };
  const saved = how.checkpoint === true ? { checkpoint: { step, time: after(seconds) } } : {};
  const progress = {
    ...aRecord(pod.metadata.name, step, { time: after(seconds), ...saved }),
    podUID: pod.metadata.uid,
  };
  const startedAt = trainerState(pod)?.running?.startedAt ?? after(seconds - 1);
  const { reason = ended.reason, disrupted } = how;
  const message = leaves('Saved', progress);
  const terminated = { exitCode, reason, message, startedAt, finishedAt: after(seconds) };
  const taken = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' };
  pod.status = {
    phase: ended.phase,
    conditions: disrupted === true ? [taken] : [],
    containerStatuses: containers({ terminated }),
  };
}
