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
}

/** Asks every running trainer for its progress, again and again until stopped. */
export async function pollTrainers({ world, answered, poll = pollProgress }: PollerOptions, signal: AbortSignal) {
  while (!signal.aborted) {
    const started = performance.now();
    const running = [...world.stores.pods.all()].filter(isAsked);
    const left = running.values();
    const ask = async (): Promise<void> => {
      for (const pod of left) {
        if (signal.aborted) return;
        const progress = await poll(pod);
        if (progress !== undefined) record(world, pod, progress, answered);
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, running.length) }, ask));
    await pause(Math.max(0, pollInterval(running.length) - (performance.now() - started) / 1000), signal);
  }
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
