import { EventEmitter, once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
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

test('those that answer are not held up by one that let a question hang, and it is one of them once it answers', async () => {
  const stop = new AbortController();
  const asked = { talks: 0, hung: 0, hangs: 0 };
  const events = new EventEmitter();
  const stopped = once(stop.signal, 'abort');
  const poll = async ({ metadata: { name } }: Named) => {
    const time = (asked[name as keyof typeof asked] += 1);
    if (name === 'talks' && time % 10 === 0) events.emit('ten more');
    if (name === 'hung' && time === 1) return setTimeout(400, undefined);
    // Asked apart from now on.
    if (name === 'hung' && time === 2) await once(events, 'ten more');
    if (name === 'hangs' && time === 1) return setTimeout(400, undefined);
    if (name === 'hangs') return void (await stopped);
    // Would never come, were it still asked beside what hangs for ever.
    if (name === 'hung' && time === 9) stop.abort();
    return aRecord(name, 3);
  };
  const world = worldWith(['talks', 'hung', 'hangs'].map((name) => running(name, 'quickstart-1')));
  await pollTrainers({ world, answered: () => undefined, poll, interval: () => 0.002, slow: 300 }, stop.signal);
  expect(asked.talks).toBeGreaterThanOrEqual(10);
  expect(asked).toMatchObject({ hung: 9, hangs: 2 });
});

test('one that refuses at once, as before its server is up, is asked with the others', async () => {
  const stop = new AbortController();
  let hangs = 0;
  let refused = 0;
  const stopped = once(stop.signal, 'abort');
  const poll = async ({ metadata: { name } }: Named) => {
    if (name === 'hangs') {
      hangs += 1;
      await (hangs === 1 ? setTimeout(400) : stopped);
    } else if (++refused === 20) stop.abort();
    return undefined;
  };
  const world = worldWith(['hangs', 'starts'].map((name) => running(name, 'quickstart-1')));
  await pollTrainers({ world, answered: () => undefined, poll, interval: () => 0.002, slow: 300 }, stop.signal);
  expect([hangs, refused]).toEqual([2, 20]);
});
