import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { labels } from '../../crds/labels.ts';
import type { Cluster, Selection, Stored } from '../../operator/cluster/cluster.ts';
import { ApiError } from '../../operator/cluster/errors.ts';
import { resources, type Resource } from '../../operator/cluster/resource.ts';
import { Controller } from '../../operator/controller.ts';
import { makeLog } from '../../operator/log.ts';
import { Recorder } from '../../operator/loop/recorder.ts';
import { ControllerMetrics } from '../../operator/serve/controller-metrics.ts';
import { ClusterWorld, Stores } from '../../operator/world.ts';
import { aJob, images } from './observed.ts';

/** A DPOJob in its first attempt, and the Job and pod of that. */
function objectsOf(namespace: string): Map<Resource, Stored> {
  const job = aJob();
  const metadata = { ...job.metadata, namespace, uid: `uid-${namespace}`, resourceVersion: '5' };
  const of = { [labels.dpojob]: 'quickstart', [labels.uid]: metadata.uid, [labels.attempt]: '1' };
  const child = { ...metadata, name: 'quickstart-1', labels: of };
  const ownerReferences = [{ uid: metadata.uid, controller: true }];
  return new Map<Resource, object>([
    [resources.dpojobs, { ...job, metadata, status: { attempt: 1, attemptStartTime: new Date().toISOString() } }],
    [resources.jobs, { metadata: { ...child, uid: `job-${namespace}`, ownerReferences }, status: { active: 1 } }],
    [resources.pods, { metadata: { ...child, uid: `pod-${namespace}` }, status: { phase: 'Pending' } }],
  ]) as unknown as Map<Resource, Stored>;
}

/** An API server with two namespaces, of which parts can be refused. A change of what is refused ends the watches. */
function place(...refused: string[]) {
  const all = new Map(['a', 'b'].map((namespace) => [namespace, objectsOf(namespace)]));
  let denied = new Set(refused);
  let cut = new AbortController();
  const wrote: string[] = [];
  const check = ({ plural }: Resource, { namespace }: Selection): void => {
    if (denied.has(`${namespace}/${plural}`)) throw new ApiError(403, 'Forbidden', 'no right');
  };
  const cluster: Partial<Cluster> = {
    list: async (resource, selection) => {
      check(resource, selection);
      const found = all.get(selection.namespace ?? '')?.get(resource);
      return { items: found === undefined ? [] : [found], resourceVersion: '9' };
    },
    // oxlint-disable-next-line require-yield -- nothing ever changes
    async *watch(resource, selection, _version, signal) {
      check(resource, selection);
      await sleep(60_000, undefined, { signal: AbortSignal.any([signal, cut.signal]) }).catch(() => undefined);
      check(resource, selection);
    },
    get: async () => undefined,
    create: async ({ plural }, namespace, object) => {
      if (plural !== 'events') wrote.push(`${namespace}: create ${plural}`);
      return object as Stored;
    },
    applyStatus: async (_resource, object) => {
      wrote.push(`${object.metadata.namespace}: status`);
      return { ...all.get(object.metadata.namespace)?.get(resources.dpojobs), ...object };
    },
  };
  const metrics = new ControllerMetrics(new Registry());
  const options = { cluster: cluster as Cluster, log: makeLog('error'), metrics, namespaces: ['a', 'b'] };
  const world = new ClusterWorld(options.cluster, new Stores(), new Recorder(options.cluster, 'me', () => {}), images);
  const controller = new Controller({ ...options, world });
  const refuse = (...parts: string[]): void => {
    denied = new Set(parts);
    cut.abort();
    cut = new AbortController();
  };
  return { controller, stores: world.stores, metrics, wrote, refuse };
}

/** Leads until `what` is done. */
async function leading({ controller }: Pick<ReturnType<typeof place>, 'controller'>, what: () => Promise<void>) {
  const stop = new AbortController();
  const running = [controller.watch(stop.signal), controller.lead(stop.signal)];
  await what().finally(() => stop.abort());
  await Promise.all(running);
}
const until = async (holds: () => boolean): Promise<void> => {
  const end = Date.now() + 15_000;
  for (; !holds(); await sleep(10)) if (Date.now() > end) throw new Error(`not so after 15 s: ${String(holds)}`);
};
const everything = ['b/dpojobs', 'b/jobs', 'b/pods'];
const sizes = ({ dpojobs, jobs, pods }: Stores): number[] => [dpojobs.size, jobs.size, pods.size];

test('a namespace that is refused holds up no other, and makes nobody restart; alone it leaves nothing to be ready for', async () => {
  const there = place(...everything);
  await leading(there, async () => {
    await until(() => there.wrote.includes('a: status'));
    expect([there.controller.sees(), there.metrics.watchAges().length]).toEqual([true, 3]);
    there.refuse(...everything, 'a/pods');
    await until(() => !there.controller.sees());
  });
});

test('while a part of a namespace is refused nothing is written in it, and nothing is made twice when it is back', async () => {
  const there = place('b/jobs');
  await leading(there, async () => {
    await until(() => there.wrote.includes('a: status') && there.stores.dpojobs.size === 2);
    await sleep(200);
    expect(there.wrote.filter((one) => one.startsWith('b'))).toEqual([]);
    there.refuse();
    await until(() => there.wrote.includes('b: status'));
  });
  expect(there.wrote.filter((one) => one.includes('create'))).toEqual([]);
});

test('a namespace that cannot be seen is not shown, and comes back as it was', async () => {
  const there = place();
  await leading(there, async () => {
    await until(() => there.wrote.includes('b: status'));
    there.refuse(...everything);
    await until(() => sizes(there.stores).join() === '1,1,1');
    there.wrote.length = 0;
    there.refuse();
    await until(() => there.wrote.includes('b: status'));
    expect(sizes(there.stores)).toEqual([2, 2, 2]);
  });
  expect(there.wrote.filter((one) => one.includes('create'))).toEqual([]);
});
