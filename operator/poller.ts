import type { Progress } from '../crds/progress.ts';
import type { ObservedPod } from './decide/observation.ts';
import type { StoredPod } from './keep.ts';
import { pause } from './loop/backoff.ts';
import { pollProgress } from './observe.ts';
import type { ClusterWorld } from './world.ts';

/** Of those that answer, and of those that do not. */
const atOnce = 50;

/** A trainer that has not answered after this time may be one that never will; one whose server is not up yet says so sooner. */
const slowMilliseconds = 1000;

/** Seconds between two rounds: each running trainer is asked every 5 s; with over 1,000, 200 are asked in a second. */
export const pollInterval = (trainers: number): number => Math.max(5, trainers / 200);

export interface PollerOptions {
  world: ClusterWorld;
  /** Called with namespace and name of a DPOJob whose trainer answered. */
  answered: (namespace: string, name: string) => void;
  poll?: (pod: ObservedPod) => Promise<Progress | undefined>;
  interval?: typeof pollInterval;
  slow?: number;
}

/**
 * Asks every running trainer for its progress, again and again until stopped. Those that let the last question hang are
 * asked apart: each takes its time limit, and those that answer must not wait for them at every round.
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
    const running = [...world.stores.pods.all()].filter(
      (pod) => pod.status?.phase === 'Running' && world.jobOf(pod) !== undefined,
    );
    if (ofSilent) keepOnly(silent, running);
    const asked = running.filter(({ metadata }) => silent.has(metadata.uid) === ofSilent);
    await askAll(options, silent, asked, signal);
    await pause(Math.max(0, interval(asked.length) - (performance.now() - started) / 1000), signal);
  }
}

async function askAll(options: PollerOptions, silent: Set<string>, pods: StoredPod[], signal: AbortSignal) {
  const left = pods.values();
  const asks = async (): Promise<void> => {
    for (const pod of left) {
      if (signal.aborted) return;
      if (await ask(options, pod)) silent.delete(pod.metadata.uid);
      else silent.add(pod.metadata.uid);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, pods.length) }, asks));
}

/** Whether it answered, or was quick to refuse. */
async function ask({ world, answered, poll = pollProgress, slow = slowMilliseconds }: PollerOptions, pod: StoredPod) {
  const started = performance.now();
  const progress = await poll(pod);
  const job = world.jobOf(pod);
  if (progress !== undefined && job !== undefined) {
    world.answers.record(job.metadata.uid, progress, world.now());
    answered(job.metadata.namespace, job.metadata.name);
  }
  return progress !== undefined || performance.now() - started < slow;
}

/** Pods that are gone are not silent. */
function keepOnly(silent: Set<string>, running: readonly StoredPod[]): void {
  const present = new Set(running.map(({ metadata }) => metadata.uid));
  for (const uid of silent) if (!present.has(uid)) silent.delete(uid);
}
