import { waitReasons } from '../../crds/conditions.ts';
import type { Statement } from './conditions.ts';
import { secondsBetween } from './observation.ts';
import type { Observation, ObservedPod } from './observation.ts';
import { livePod, podCondition } from './pods.ts';

/** Seconds after which a pod that was told to go, or a trainer that answered before, counts as out of reach. */
const silentSeconds = 30;

/**
 * When the node of the live pod counts as lost (RFC 3339; it may lie ahead), or undefined while nothing points to it.
 * The node controller takes readiness from the pods of a silent node, whose containers stay ready as last told; and no
 * kubelet ends a pod there that was told to go. A trainer that still answers is not lost, whatever its kubelet does.
 */
export function lossTime(observation: Observation): string | undefined {
  const { answer } = observation;
  const pod = livePod(observation);
  const silent = pod && (unreadySince(pod) ?? overdueSince(pod));
  if (silent === undefined) return undefined;
  const answered = answer?.progress.podUID === pod?.metadata.uid ? later(answer?.answeredAt, silentSeconds) : undefined;
  return answered !== undefined && Date.parse(answered) > Date.parse(silent) + silentSeconds * 1000 ? answered : silent;
}

function unreadySince(pod: ObservedPod): string | undefined {
  const ready = podCondition(pod, 'Ready');
  const wasReady = podCondition(pod, 'ContainersReady')?.status === 'True';
  return ready?.status === 'False' && wasReady ? ready.lastTransitionTime : undefined;
}

/** The time of deletion has the pod's grace period in it already. */
function overdueSince({ metadata, spec }: ObservedPod): string | undefined {
  return spec?.nodeName === undefined ? undefined : later(metadata.deletionTimestamp, silentSeconds);
}

const later = (time: string | undefined, seconds: number): string | undefined =>
  time === undefined ? undefined : new Date(Date.parse(time) + seconds * 1000).toISOString();

/** The ways out that are left to the user. */
function remedies({ job }: Observation, node: string): string {
  const limit = job.spec.nodeLossSeconds;
  const byHand = `bring node ${node} back, or declare it gone (kubectl delete node ${node})`;
  if (job.spec.suspend) return `${byHand}; until then the pod may still run`;
  return limit === undefined
    ? `${byHand}, or set spec.nodeLossSeconds; until then the pod may still run and is not replaced`
    : `${byHand}; after nodeLossSeconds (${limit}) the next attempt begins`;
}

/** What PodsReady says of a pod whose node is lost. */
export function nodeLost(observation: Observation, now: string): Statement | undefined {
  const since = lossTime(observation);
  if (since === undefined || secondsBetween(since, now) < 0) return undefined;
  const { metadata, spec } = livePod(observation) as ObservedPod;
  const { says } = waitReasons.NodeLost;
  const message = `${says} since ${since}: pod ${metadata.name}; ${remedies(observation, spec?.nodeName ?? '')}`;
  return { status: 'Unknown', reason: 'NodeLost', message };
}

/** Seconds until something is to be done about a silent node: to say that it is lost (`word`), then to move on (`attempt`). */
export function lossLeft(
  observation: Observation,
  now: string,
): { left: number; gives: 'word' | 'attempt' } | undefined {
  const since = lossTime(observation);
  if (since === undefined) return undefined;
  const untilLost = -secondsBetween(since, now);
  const limit = observation.job.spec.nodeLossSeconds;
  if (untilLost > 0) return { left: untilLost, gives: 'word' };
  return limit === undefined ? undefined : { left: untilLost + limit, gives: 'attempt' };
}
