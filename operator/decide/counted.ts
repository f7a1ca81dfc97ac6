import { maxTied, type DPOJobStatus } from '../../crds/status.ts';
import { endTime } from './failure.ts';
import type { Ended } from './failure.ts';
import type { Observation, ObservedPod } from './observation.ts';

type CountedUntil = DPOJobStatus['countedUntil'];

/**
 * The pods whose end, if they ended, is still to be counted. Pods of a job end one after another (podReplacementPolicy Failed), so the one
 * made last of those counted says which are new, also after a restart of the operator: by the API server's clock, since
 * two pods have the clocks of two nodes.
 */
export function uncounted(observation: Observation): ObservedPod[] {
  const { job, pods } = observation;
  const cursor = cursorOf(observation);
  return pods.filter((pod) => (cursor ? isLater(pod, cursor) : isAfterFailure(pod, job.status ?? {})));
}

function isLater(pod: ObservedPod, { podCreationTime, podUIDs }: NonNullable<CountedUntil>): boolean {
  const later = Date.parse(pod.metadata.creationTimestamp) - Date.parse(podCreationTime);
  // Where more were made in one second than are remembered, none is counted again.
  return later > 0 || (later === 0 && podUIDs.length < maxTied && !podUIDs.includes(pod.metadata.uid));
}

/** An older operator that ran in between counted on and left the cursor where it was: it has the last one as `lastFailure`. */
function cursorOf({ job, pods }: Observation): CountedUntil {
  const { countedUntil, lastFailure } = job.status ?? {};
  const last = pods.find(({ metadata }) => metadata.name === lastFailure?.pod)?.metadata;
  if (countedUntil === undefined || last === undefined) return countedUntil;
  const { creationTimestamp: podCreationTime, uid } = last;
  return Date.parse(podCreationTime) > Date.parse(countedUntil.podCreationTime)
    ? { podCreationTime, podUIDs: [uid] }
    : countedUntil;
}

/** Where nothing was counted yet, or by an older operator, which went by the time of the failure. */
function isAfterFailure(pod: ObservedPod, { lastFailure }: DPOJobStatus): boolean {
  const { reason, time } = lastFailure ?? {};
  // A lost node has the operator's time, by a clock that no pod has, and all pods that are seen are of the attempt after.
  const counted = reason === 'NodeLost' ? undefined : time;
  return counted === undefined || Date.parse(endTime(pod) ?? counted) > Date.parse(counted);
}

/** The same with one more end. */
export function countedWith(before: CountedUntil, { podUID, createdAt }: Ended): NonNullable<CountedUntil> {
  const tied = before !== undefined && Date.parse(before.podCreationTime) === Date.parse(createdAt);
  const podUIDs = [...(tied ? before.podUIDs : []), podUID].slice(0, maxTied);
  return { podCreationTime: createdAt, podUIDs };
}
