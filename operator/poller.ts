import { labels } from '../crds/labels.ts';
import type { Progress } from '../crds/progress.ts';
import type { ObservedPod } from './decide/observation.ts';
import type { StoredPod } from './keep.ts';
import { pause } from './loop/backoff.ts';
import { pollProgress } from './observe.ts';
import { dpojobOf } from './pod-owner.ts';
import type { ClusterWorld } from './world.ts';

const atOnce = 50;

/** Seconds between two rounds: each running trainer is asked every 5 s; with over 1,000, 200 are asked in a second. */
export const pollInterval = (trainers: number): number => Math.max(5, trainers / 200);

export interface PollerOptions {
  world: ClusterWorld;
  /** Called with namespace and name of a DPOJob whose trainer answered. */
  answered: (namespace: string, name: string) => void;
  poll?: (pod: ObservedPod) => Promise<Progress | undefined>;
  interval?: typeof pollInterval;
}

/**
 * Asks every running trainer for its progress, again and again until stopped. Those that did not answer are asked apart: each
 * takes its time limit, and none that answers must wait for them.
 */
export async function pollTrainers(options: PollerOptions, signal: AbortSignal): Promise<void> {
  const silent = new Set<string>();
  await Promise.all([rounds(options, silent, false, signal), rounds(options, silent, true, signal)]);
}

/** Asks all that are silent, or all others, in rounds; `silent` holds the UIDs of the pods that are. */
async function rounds(options: PollerOptions, silent: Set<string>, ofSilent: boolean, signal: AbortSignal) {
  const { world, interval = pollInterval } = options;
  while (!signal.aborted) {
    const started = performance.now();
    const running = [...world.stores.pods.all()].filter(isAsked);
    if (ofSilent) keepOnly(silent, running);
    const asked = running.filter(({ metadata }) => silent.has(metadata.uid) === ofSilent);
    await askAll(options, silent, asked, signal);
    await pause(Math.max(0, interval(asked.length) - (performance.now() - started) / 1000), signal);
  }
}

async function askAll(
  { world, answered, poll = pollProgress }: PollerOptions,
  silent: Set<string>,
  pods: StoredPod[],
  signal: AbortSignal,
) {
  const left = pods.values();
  const ask = async (): Promise<void> => {
    for (const pod of left) {
      if (signal.aborted) return;
      const progress = await poll(pod);
      if (progress === undefined) silent.add(pod.metadata.uid);
      else {
        silent.delete(pod.metadata.uid);
        record(world, pod, progress, answered);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, pods.length) }, ask));
}

/** Pods that are gone are not silent. */
function keepOnly(silent: Set<string>, running: readonly StoredPod[]): void {
  const present = new Set(running.map(({ metadata }) => metadata.uid));
  for (const uid of silent) if (!present.has(uid)) silent.delete(uid);
}

/** Whether it is a trainer's: others may bear its labels. */
const isAsked = (pod: StoredPod): boolean => pod.status?.phase === 'Running' && dpojobOf(pod) !== undefined;

function record(world: ClusterWorld, pod: StoredPod, progress: Progress, answered: PollerOptions['answered']): void {
  const { namespace, labels: given = {} } = pod.metadata;
  const { [labels.dpojob]: name, [labels.uid]: uid } = given;
  if (name === undefined || uid === undefined || world.stores.dpojobs.get(namespace, name)?.metadata.uid !== uid)
    return;
  world.answers.record(uid, progress, world.now());
  answered(namespace, name);
}
