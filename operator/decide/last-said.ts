import { allPrintable } from '../../crds/printable.ts';
import { terminationMessageSchema, type TerminationMessage } from '../../crds/progress.ts';
import type { ObservedPod } from './observation.ts';
import { trainerState } from './pods.ts';

/** The trainer's last record, or undefined if it is not one: the pod's word is untrusted, and nothing in it may act on a terminal. */
export function parseTermination(message: string | undefined): TerminationMessage | undefined {
  try {
    return allPrintable(terminationMessageSchema.safeParse(JSON.parse(message ?? '')).data);
  } catch {
    return undefined;
  }
}

/** What was parsed already: the object stays the same until another state of its pod is seen. */
const parsed = new WeakMap<object, TerminationMessage | undefined>();

/** What a pod's trainer left when it ended. All pods of an attempt are looked at each time, but parsed once. */
export function lastSaid(pod: ObservedPod): TerminationMessage | undefined {
  const terminated = trainerState(pod)?.terminated;
  if (terminated !== undefined && !parsed.has(terminated)) parsed.set(terminated, parseTermination(terminated.message));
  return terminated && parsed.get(terminated);
}
