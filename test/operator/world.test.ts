import { expect, test } from '@jest/globals';
import type { Cluster, Stored } from '../../operator/cluster/cluster.ts';
import { ApiError } from '../../operator/cluster/errors.ts';
import type { Observation } from '../../operator/decide/observation.ts';
import { keepJob } from '../../operator/keep.ts';
import { Recorder } from '../../operator/loop/recorder.ts';
import { after } from './observed.ts';
import { identity, jobNamed, pod, podsSeen, stored, worldOver } from './worlds.ts';

test('pods of the present attempt are seen, not those of another attempt or an earlier job of the same name', async () => {
  const world = worldOver({});
  world.stores.pods.put(pod('now'));
  world.stores.pods.put(pod('earlier', 0));
  world.stores.pods.put(pod('namesake', 1, 'deleted-job-uid'));
  expect(await podsSeen(world)).toEqual(['now']);
});

test.each<[string, object[]]>([
  ['nothing', []],
  ['the Job of another', [jobNamed('else-1')]],
  ['the Job of another attempt', [jobNamed('quickstart-2')]],
  ['what is no Job', [{ ...jobNamed('quickstart-1'), kind: 'ReplicaSet' }]],
  ['its Job, which does not control it', [{ ...jobNamed('quickstart-1'), controller: false }]],
])('a pod that only bears the labels, owned by %s, is not seen, nor once it is deleted', async (_, owners) => {
  const world = worldOver({});
  world.stores.pods.put(pod('forged', 1, identity.uid, owners));
  expect(await podsSeen(world)).toEqual([]);
  world.stores.pods.delete(pod('forged', 1, identity.uid, owners));
  expect(await podsSeen(world)).toEqual([]);
});

test("what another namespace's objects say of themselves makes them nobody's children", async () => {
  const world = worldOver({});
  const forged = pod('forged');
  const elsewhere = { ...forged, metadata: { ...forged.metadata, namespace: 'elsewhere' } };
  const ownerReferences = [{ uid: identity.uid, controller: true }];
  const metadata = { name: 'quickstart-1', namespace: 'elsewhere', uid: 'x', resourceVersion: '6', ownerReferences };
  world.stores.pods.put(elsewhere);
  world.stores.jobs.put(keepJob({ metadata } as unknown as Stored));
  const seen = async (): Promise<object> => (await world.observe('team', 'quickstart')) ?? {};
  expect(await seen()).toMatchObject({ jobs: [], pods: [] });
  world.stores.pods.delete(elsewhere);
  expect(await seen()).toMatchObject({ jobs: [], pods: [] });
});

test('of a pod is kept when it was made, which orders the ends of pods', async () => {
  const world = worldOver({});
  world.stores.pods.put(pod('a'));
  const [seen] = (await world.observe('team', 'quickstart'))?.pods ?? [];
  expect(seen?.metadata.creationTimestamp).toBe(after(1));
});

test('a deleted pod stays to be seen until a reconcile has read how it ended', async () => {
  const world = worldOver({});
  world.stores.pods.put(pod('a'));
  world.stores.pods.delete(pod('a'));
  expect(await podsSeen(world)).toEqual(['a']);
  const read = (await world.observe('team', 'quickstart')) as Observation;
  world.stores.pods.put(pod('b'));
  world.stores.pods.delete(pod('b'));
  world.settle(read);
  expect(await podsSeen(world)).toEqual(['b']);
});

test('pods that go after their DPOJob are not kept: nothing is to be read of them', () => {
  const world = worldOver({});
  world.stores.pods.put(pod('a'));
  world.stores.dpojobs.delete(stored());
  world.stores.pods.delete(pod('a'));
  expect(world.departed(identity.uid).size).toBe(0);
});

test('a status is applied to the very version that was read, and is seen at once', async () => {
  const applied: Stored[] = [];
  const world = worldOver({
    applyStatus: async (_resource, object) => {
      applied.push(object);
      return { ...object, metadata: { ...object.metadata, resourceVersion: '6' } };
    },
  });
  await world.applyStatus(stored(), { attempt: 2 });
  expect(applied[0]?.metadata).toEqual({ namespace: 'team', ...identity, resourceVersion: '5' });
  expect(world.stores.dpojobs.get('team', 'quickstart')?.status).toEqual({ attempt: 2 });
  expect(world.untilFigures(identity.uid)).toBeGreaterThan(9);
});

test("a child that exists is answered with its owner's UID", async () => {
  const ownerReferences = [{ uid: 'someone', controller: true }];
  const world = worldOver({
    create: () => Promise.reject(new ApiError(409, 'AlreadyExists', 'there')),
    get: async () => ({ metadata: { ...stored().metadata, ownerReferences } }) as Stored,
  });
  const child = { kind: 'Job' as const, metadata: { name: 'quickstart-1', namespace: 'team' } };
  expect(await world.create(child)).toEqual({ created: false, ownerUID: 'someone', labelled: true });
});

test('a Job of its own that it did not know of is seen once a creation found it', async () => {
  const ownerReferences = [{ uid: identity.uid, controller: true }];
  const metadata = { name: 'quickstart-1', namespace: 'team', uid: 'child', resourceVersion: '6', ownerReferences };
  const world = worldOver({
    create: async () => Promise.reject(new ApiError(409, 'AlreadyExists', 'there')),
    get: async () => ({ metadata }) as unknown as Stored,
  });
  const child = { kind: 'Job', metadata: { name: 'quickstart-1', namespace: 'team', ownerReferences } } as never;
  expect(await world.create(child)).toEqual({ created: false, ownerUID: identity.uid, labelled: true });
  expect((await world.observe('team', 'quickstart'))?.jobs).toHaveLength(1);
});

test('a Job that went between a creation and the look at what is there is made at the next look', async () => {
  const world = worldOver({
    create: async () => Promise.reject(new ApiError(409, 'AlreadyExists', 'there')),
    get: async () => undefined,
  });
  const ownerReferences = [{ uid: identity.uid, controller: true }];
  const child = { kind: 'Job', metadata: { name: 'quickstart-1', namespace: 'team', ownerReferences } } as never;
  await expect(world.create(child)).rejects.toThrow(new ApiError(409, 'Conflict', 'Job quickstart-1 has just gone'));
  expect(world.stores.jobs.size).toBe(0);
});

test.each(['x', '{"spec":{}}', '[]', undefined])(
  'a ConfigMap that somebody made of his own (%s) says nothing of what the attempt runs with',
  async (text) => {
    const world = worldOver({ get: async () => ({ data: { 'job.json': text } }) as unknown as Stored });
    const ownerReferences = [{ uid: identity.uid, controller: true }];
    const metadata = { name: 'quickstart-1', namespace: 'team', uid: 'child', resourceVersion: '6', ownerReferences };
    world.stores.jobs.put(keepJob({ metadata } as unknown as Stored));
    expect(await world.observe('team', 'quickstart')).not.toHaveProperty('attemptSpec');
  },
);

test('the same event again counts up', async () => {
  const made: object[] = [];
  const patched: object[] = [];
  const cluster: Partial<Cluster> = {
    create: async (_resource, _namespace, object) => {
      if (made.length > 0) throw new ApiError(409, 'AlreadyExists', 'there');
      made.push(object);
      return object as Stored;
    },
    mergePatch: async (_resource, _namespace, _name, patch) => (patched.push(patch), patch as Stored),
  };
  const event = { type: 'Normal' as const, reason: 'Started', message: 'attempt 1' };
  for (const _again of [1, 2]) {
    const recorder = new Recorder(cluster as Cluster, 'me', () => undefined);
    recorder.emit(stored(), event);
    recorder.emit(stored(), event);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(made).toMatchObject([{ count: 1, reason: 'Started', involvedObject: { kind: 'DPOJob', uid: 'job-uid' } }]);
  expect(patched).toMatchObject([{ count: 2 }]);
});

test.each([
  ['changed meanwhile', new ApiError(409, 'Conflict', 'changed'), '9'],
  ['went meanwhile', new ApiError(404, 'NotFound', 'gone'), undefined],
])(
  'a status that is refused since the job %s shows the next look the job as it is, however late the watch',
  async (...[, refusal, version]) => {
    const now = version && { ...stored(), metadata: { ...stored().metadata, resourceVersion: version } };
    const world = worldOver({ applyStatus: () => Promise.reject(refusal), get: async () => now || undefined });
    await expect(world.applyStatus(stored(), { attempt: 2 })).rejects.toBe(refusal);
    expect(world.stores.dpojobs.get('team', 'quickstart')?.metadata.resourceVersion).toBe(version);
  },
);

test('a view is confirmed while the API server has that version, and no longer', async () => {
  let version = '5';
  const get = async () => ({ ...stored(), metadata: { ...stored().metadata, resourceVersion: version } }) as Stored;
  const world = worldOver({ get });
  await world.confirm(stored());
  version = '6';
  await expect(world.confirm(stored())).rejects.toThrow('has changed since it was seen');
  expect(world.stores.dpojobs.get('team', 'quickstart')?.metadata.resourceVersion).toBe('6');
});

test('of the deleted pods of one job a standby, which reads none, keeps only the latest', () => {
  const world = worldOver({});
  for (let i = 0; i < 100; i++) {
    world.stores.pods.put(pod(`p${i}`));
    world.stores.pods.delete(pod(`p${i}`));
  }
  expect([...world.departed(identity.uid)]).toEqual(Array.from({ length: 16 }, (_, i) => `p${84 + i}`));
});

test.each([
  ['is being deleted', true],
  ['is gone', false],
])('a Job that was told to go is seen at once as one that %s, however late the watch is', async (_, stays) => {
  const job = (changes: object = {}): Stored =>
    ({
      kind: 'Job',
      metadata: {
        name: 'quickstart-1',
        namespace: 'team',
        uid: 'child',
        resourceVersion: '8',
        ownerReferences: [{ uid: identity.uid, controller: true }],
        ...changes,
      },
    }) as unknown as Stored;
  const left = job({ resourceVersion: '9', deletionTimestamp: '2026-01-01T00:00:00Z' });
  const world = worldOver({ delete: () => Promise.resolve(stays ? left : undefined) });
  world.stores.jobs.put(keepJob(job()));
  await world.deleteJob('team', 'quickstart-1', 'child');
  // The watch delivers what was before.
  world.stores.jobs.put(keepJob(job()));
  const jobs = [...world.stores.jobs.all()];
  expect(jobs.map(({ metadata }) => metadata.deletionTimestamp)).toEqual(stays ? ['2026-01-01T00:00:00Z'] : []);
});
