import { expect, test } from '@jest/globals';
import { labels } from '../../crds/labels.ts';
import type { Stored } from '../../operator/cluster/cluster.ts';
import { keepDPOJob, keepPod, type StoredPod } from '../../operator/keep.ts';
import { Recorder } from '../../operator/loop/recorder.ts';
import { pollTrainers } from '../../operator/poller.ts';
import { ClusterWorld, Stores } from '../../operator/world.ts';
import { aJob, aRecord, images, runningPod, start } from './observed.ts';

/** A running pod with the labels of a trainer of the first attempt. */
function running(name: string, owner: string): StoredPod {
  const { metadata, ...rest } = runningPod(name);
  const labelled = { [labels.uid]: 'job-uid', [labels.dpojob]: 'quickstart', [labels.attempt]: '1' };
  const ownerReferences = [{ kind: 'Job', name: owner, uid: 'j', controller: true }];
  const more = { namespace: 'team', resourceVersion: '7', creationTimestamp: start, labels: labelled, ownerReferences };
  return keepPod({ ...rest, metadata: { ...metadata, ...more } } as Stored);
}

function worldWith(pods: readonly StoredPod[]): ClusterWorld {
  const cluster = {} as never;
  const world = new ClusterWorld(cluster, new Stores(), new Recorder(cluster, 'me', () => undefined), images);
  const job = aJob({}, { attempt: 1 });
  world.stores.dpojobs.put(keepDPOJob({ ...job, metadata: { ...job.metadata, resourceVersion: '5' } } as Stored));
  for (const pod of pods) world.stores.pods.put(pod);
  return world;
}

interface Named {
  metadata: { name: string };
}

test("a pod that only bears a trainer's labels is not asked, and cannot answer in its place", async () => {
  const pods = [running('a', 'quickstart-1'), running('forged', 'else-1')];
  const world = worldWith(pods);
  const stop = new AbortController();
  const asked: string[] = [];
  const poll = async ({ metadata: { name } }: Named) => {
    asked.push(name);
    return aRecord(name, 3);
  };
  await pollTrainers({ world, answered: () => stop.abort(), poll }, stop.signal);
  expect(asked).toEqual(['a']);
  expect(world.answers.of('job-uid', pods)?.progress.podUID).toBe('a-uid');
});

test('those that answer are asked again and again while one is waited for that did not, until it does', async () => {
  const stop = new AbortController();
  const asked = { talks: 0, hangs: 0 };
  let wakesUp: (() => void) | undefined;
  const poll = async ({ metadata: { name } }: Named) => {
    asked[name as keyof typeof asked]++;
    if (name === 'hangs' && asked.hangs === 1) return undefined;
    if (name === 'hangs' && asked.hangs === 2) await new Promise<void>((resolve) => (wakesUp = resolve));
    if (name === 'talks' && asked.talks === 10) wakesUp?.();
    if (asked.hangs === 5) stop.abort();
    return aRecord(name, 3);
  };
  const world = worldWith([running('talks', 'quickstart-1'), running('hangs', 'quickstart-1')]);
  await pollTrainers({ world, answered: () => undefined, poll, interval: () => 0.002 }, stop.signal);
  expect(asked.talks).toBeGreaterThanOrEqual(10);
  expect(asked.hangs).toBe(5);
});
