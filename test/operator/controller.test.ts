import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import type { Cluster, Stored } from '../../operator/cluster/cluster.ts';
import { resources } from '../../operator/cluster/resource.ts';
import { Controller } from '../../operator/controller.ts';
import { makeLog } from '../../operator/log.ts';
import { Recorder } from '../../operator/loop/recorder.ts';
import { ControllerMetrics } from '../../operator/serve/controller-metrics.ts';
import { ClusterWorld, Stores } from '../../operator/world.ts';
import { aJob, images } from './observed.ts';

/** An API server with some DPOJobs and nothing else; what is written is told. */
function placeWith(names: string[], calls: Partial<Cluster>, spec: Parameters<typeof aJob>[0] = {}) {
  const items = names.map((name) => {
    const job = aJob(spec);
    return { ...job, metadata: { ...job.metadata, name, uid: name, resourceVersion: '5' } } as unknown as Stored;
  });
  const cluster: Partial<Cluster> = {
    list: async (resource) => ({ items: resource === resources.dpojobs ? items : [], resourceVersion: '9' }),
    // oxlint-disable-next-line require-yield -- nothing ever changes
    async *watch(_resource, _selection, _version, signal) {
      await sleep(60_000, undefined, { signal }).catch(() => undefined);
    },
    get: async (_resource, _namespace, name) => items.find(({ metadata }) => metadata.name === name),
    create: async (_resource, _namespace, object) => {
      const { metadata } = object as Stored;
      return { ...object, metadata: { ...metadata, uid: metadata.name, resourceVersion: '10' } };
    },
    ...calls,
    applyStatus: async (resource, object) => {
      await calls.applyStatus?.(resource, object);
      const job = items.find(({ metadata }) => metadata.name === object.metadata.name);
      return { ...job, ...object, metadata: { ...object.metadata, resourceVersion: '10' } };
    },
  };
  const registry = new Registry();
  const metrics = new ControllerMetrics(registry);
  const options = { cluster: cluster as Cluster, log: makeLog('error'), metrics, namespaces: [] };
  const recorder = new Recorder(options.cluster, 'me', () => undefined);
  const world = new ClusterWorld(options.cluster, new Stores(), recorder, images);
  const depth = async (): Promise<string | undefined> =>
    /workqueue_depth\{name="dpojob"\} (\d+)/.exec(await registry.metrics())?.[1];
  return { controller: new Controller({ ...options, world }), depth, world };
}

const many = Array.from({ length: 30 }, (_, i) => `job-${i}`);

test('a standby watches and queues nothing; once it leads it looks at every job', async () => {
  const seen = new Set<string>();
  const place = placeWith(many, {
    applyStatus: async (_resource, object) => {
      seen.add(object.metadata.name);
      return object;
    },
  });
  const stop = new AbortController();
  const watching = place.controller.watch(stop.signal);
  await place.controller.synced();
  expect([await place.depth(), seen.size]).toEqual([undefined, 0]);
  const leading = place.controller.lead(stop.signal);
  while (seen.size < many.length) await sleep(10);
  stop.abort();
  await Promise.all([watching, leading]);
});

test('a poison job, whose every write fails, does not keep the others waiting', async () => {
  const seen = new Set<string>();
  const place = placeWith(['poison', ...many], {
    applyStatus: async (_resource, object) => {
      if (object.metadata.name === 'poison') throw new Error('cannot be');
      seen.add(object.metadata.name);
      return object;
    },
  });
  const stop = new AbortController();
  const running = [place.controller.watch(stop.signal), place.controller.lead(stop.signal)];
  while (seen.size < many.length) await sleep(10);
  stop.abort();
  await Promise.all(running);
  expect(seen.has('poison')).toBe(false);
});

test('a stop lets the write that is under way end, with what belongs to it, and begins nothing more', async () => {
  const made: string[] = [];
  const written = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const place = placeWith(['one'], {
    applyStatus: async (_resource, object) => {
      written.resolve();
      await answer.promise;
      return object;
    },
    create: async ({ plural }, _namespace, object) => (made.push(plural), object as Stored),
  });
  const stop = new AbortController();
  const running = [place.controller.watch(stop.signal), place.controller.lead(stop.signal)];
  await written.promise;
  stop.abort();
  const ended = Promise.all(running).then(() => 'ended');
  expect(await Promise.race([ended, sleep(100, 'waits')])).toBe('waits');
  answer.resolve();
  await ended;
  expect(made.filter((plural) => plural !== 'events')).toEqual(['configmaps', 'jobs']);
});

test('a list that gets no answer does not hold up a stop', async () => {
  const list: Cluster['list'] = (_resource, _selection, _page, signal) =>
    new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('stopped'))));
  const { controller } = placeWith([], { list });
  await controller.watch(AbortSignal.timeout(50));
}, 5000);

test('a job that is gone leaves no timer, however far its deadline', async () => {
  const seen = new Set<string>();
  const applyStatus: Cluster['applyStatus'] = async (_resource, object) => (seen.add(object.metadata.name), object);
  const get: Cluster['get'] = async (_resource, namespace, name) => world.stores.dpojobs.get(namespace, name);
  const { controller, world } = placeWith(many, { applyStatus, get }, { activeDeadlineSeconds: 86_400 });
  const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  const stop = new AbortController();
  const running = [controller.watch(stop.signal), controller.lead(stop.signal)];
  while (seen.size < many.length || timers() < many.length) await sleep(10);
  for (const job of world.stores.dpojobs.all()) world.stores.dpojobs.delete(job);
  while (timers() >= many.length) await sleep(10);
  stop.abort();
  await Promise.all(running);
});

test('of a job that goes while its status is written nothing is kept', async () => {
  const written = Promise.withResolvers<void>();
  const place = placeWith(['one'], {
    applyStatus: async (_resource, object) => {
      for (const job of place.world.stores.dpojobs.all()) place.world.stores.dpojobs.delete(job, 11n);
      written.resolve();
      return object;
    },
  });
  const stop = new AbortController();
  const running = [place.controller.watch(stop.signal), place.controller.lead(stop.signal)];
  await written.promise;
  stop.abort();
  await Promise.all(running);
  // One that was written lately would have to wait.
  expect(place.world.untilFigures('one')).toBe(0);
});
