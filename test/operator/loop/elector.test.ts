import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { Cluster, Stored } from '../../../operator/cluster/cluster.ts';
import { ApiError } from '../../../operator/cluster/errors.ts';
import { Elector } from '../../../operator/loop/elector.ts';

type Lease = Stored & { spec: { holderIdentity?: string; leaseTransitions?: number; renewTime?: string } };

/** One Lease with the API server's optimistic locking; `fail` makes it unreachable for one identity. */
class OneLease {
  lease: Lease | undefined;
  unreachable = new Set<string>();
  #version = 0;

  clusterOf(identity: string): Cluster {
    const reach = (): void => {
      if (this.unreachable.has(identity)) throw new Error('no route');
    };
    const store = (object: object): Lease => {
      const stored = structuredClone(object) as Lease;
      stored.metadata.resourceVersion = String(++this.#version);
      return (this.lease = stored);
    };
    const calls: Partial<Cluster> = {
      get: async () => (reach(), this.lease && structuredClone(this.lease)),
      create: async (_resource, _namespace, object) => {
        reach();
        if (this.lease !== undefined) throw new ApiError(409, 'AlreadyExists', 'there');
        return store(object);
      },
      replace: async (_resource, object) => {
        reach();
        if (this.lease?.metadata.resourceVersion !== object.metadata.resourceVersion) {
          throw new ApiError(409, 'Conflict', 'changed');
        }
        return store(object);
      },
    };
    return calls as Cluster;
  }

  elector(identity: string): Elector {
    const times = { leaseSeconds: 0.6, renewSeconds: 0.4, retrySeconds: 0.05 };
    const cluster = this.clusterOf(identity);
    return new Elector({ cluster, namespace: 'n', name: 'l', identity, warn: () => undefined, ...times });
  }
}

test('of three candidates one leads; when it stops another does at once', async () => {
  const lease = new OneLease();
  const stops = ['a', 'b', 'c'].map(() => new AbortController());
  const leading: string[] = [];
  let atOnce = 0;
  const runs = ['a', 'b', 'c'].map(async (identity, i) => {
    const elector = lease.elector(identity);
    const { signal } = stops[i] as AbortController;
    if (!(await elector.acquire(signal))) return;
    leading.push(identity);
    atOnce += 1;
    expect(atOnce).toBe(1);
    await elector.hold(signal);
    atOnce -= 1;
    await elector.release();
  });
  for (let done = 0; done < 3; done++) {
    while (leading.length === done) await sleep(10);
    const at = ['a', 'b', 'c'].indexOf(leading.at(-1) ?? '');
    stops[at]?.abort();
    await runs[at];
  }
  await Promise.all(runs);
  expect(leading.toSorted()).toEqual(['a', 'b', 'c']);
  expect(lease.lease?.spec.leaseTransitions).toBe(2);
});

test('a leader that cannot renew gives up before another may lead', async () => {
  const lease = new OneLease();
  const stop = new AbortController();
  const [first, second] = [lease.elector('first'), lease.elector('second')];
  expect(await first.acquire(stop.signal)).toBe(true);
  const order: string[] = [];
  const held = first.hold(stop.signal).then((end) => order.push(end));
  const taken = second.acquire(stop.signal).then(() => order.push('second leads'));
  await sleep(300);
  expect(order).toEqual([]);
  lease.unreachable.add('first');
  await Promise.all([held, taken]);
  expect(order).toEqual(['lost', 'second leads']);
});

test('a leader whose API server grew slow stops working before its lease may be taken', async () => {
  const lease = new OneLease();
  const cluster = lease.clusterOf('slow');
  let slow = false;
  const calls: Partial<Cluster> = {
    get: async (...args) => (slow && (await sleep(300, undefined, { signal: args[3] })), cluster.get(...args)),
    replace: async (...args) => (
      slow && (await sleep(60_000, undefined, { signal: args[2] })),
      cluster.replace(...args)
    ),
  };
  const times = { leaseSeconds: 1.5, renewSeconds: 1, retrySeconds: 0.05 };
  const options = { namespace: 'n', name: 'l', identity: 'slow', warn: () => undefined, ...times };
  const elector = new Elector({ cluster: { ...cluster, ...calls } as Cluster, ...options });
  const { signal } = new AbortController();
  expect(await elector.acquire(signal)).toBe(true);
  const renewed = Date.parse(lease.lease?.spec.renewTime ?? '');
  slow = true;
  expect(await elector.hold(signal)).toBe('lost');
  expect(Date.now() - renewed).toBeLessThan(1500);
});

test('a renewal counts from when it was asked for: its answer may have come late', async () => {
  const lease = new OneLease();
  const cluster = lease.clusterOf('late');
  let renewals = 0;
  const replace: Cluster['replace'] = async (...args) => {
    if (renewals++ > 0) throw new Error('no route');
    const answer = await cluster.replace(...args);
    await sleep(500);
    return answer;
  };
  const times = { leaseSeconds: 1.5, renewSeconds: 1, retrySeconds: 0.05 };
  const options = { namespace: 'n', name: 'l', identity: 'late', warn: () => undefined, ...times };
  const elector = new Elector({ cluster: { ...cluster, replace }, ...options });
  const { signal } = new AbortController();
  expect(await elector.acquire(signal)).toBe(true);
  expect(await elector.hold(signal)).toBe('lost');
  // It was taken for a second from the question on, not from the answer half a second later.
  expect(Date.now() - Date.parse(lease.lease?.spec.renewTime ?? '')).toBeLessThan(1300);
});

test('times have the six decimals that the API demands', async () => {
  const lease = new OneLease();
  await lease.elector('a').acquire(new AbortController().signal);
  expect(lease.lease?.spec.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});
