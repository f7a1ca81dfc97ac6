import { describe, expect, test } from '@jest/globals';
import { labels } from '../../crds/labels.ts';
import type { Stored } from '../../operator/cluster/cluster.ts';
import type { Observation } from '../../operator/decide/observation.ts';
import { keepJob } from '../../operator/keep.ts';
import type { ClusterWorld } from '../../operator/world.ts';
import { identity, pod, worldOver } from './worlds.ts';

describe('children are confirmed', () => {
  const job = (resourceVersion: string): Stored =>
    ({
      metadata: {
        name: 'quickstart-1',
        namespace: 'team',
        uid: 'child',
        resourceVersion,
        ownerReferences: [{ uid: identity.uid, controller: true }],
      },
    }) as unknown as Stored;
  const worldWith = (jobThere: Stored | undefined, podsThere: Stored[]): ClusterWorld => {
    const world = worldOver({
      get: async (_resource, _namespace, name) => (name === 'quickstart-1' ? jobThere : undefined),
      list: async (_resource, { namespace, labelSelector }) => {
        expect([namespace, labelSelector]).toEqual(['team', `${labels.uid}=job-uid`]);
        return { items: podsThere, resourceVersion: '9' };
      },
    });
    world.stores.jobs.put(keepJob(job('6')));
    world.stores.pods.put(pod('a'));
    world.stores.pods.put(pod('gone already'));
    world.stores.pods.delete(pod('gone already'));
    return world;
  };
  const seen = async (world: ClusterWorld): Promise<Observation> =>
    (await world.observe('team', 'quickstart')) as Observation;

  const confirm = async (world: ClusterWorld): Promise<void> => {
    const observation = await seen(world);
    await world.find({ kind: 'Job', metadata: { name: 'quickstart-1', namespace: 'team' } } as never);
    await world.confirmChildren(observation);
  };

  test('as they were seen', async () => {
    await confirm(worldWith(job('6'), [pod('a')]));
  });

  test('also where a pod is back that had only lost the label by which it is watched', async () => {
    const again = pod('a');
    again.metadata.resourceVersion = '8';
    const world = worldWith(job('6'), [again]);
    world.stores.pods.delete(pod('a'));
    world.stores.pods.put(again);
    expect((await seen(world)).departed).toEqual(new Set(['gone already']));
    await confirm(world);
  });

  test('and of a pod that was found gone the watch still tells how it ended', async () => {
    const world = worldWith(job('6'), []);
    await expect(confirm(world)).rejects.toThrow('have changed since they were seen');
    const late = pod('a');
    const ended = { ...late, metadata: { ...late.metadata, resourceVersion: '8' }, status: { phase: 'Failed' } };
    world.stores.pods.put(ended);
    world.stores.pods.delete(ended);
    const { pods } = await seen(world);
    expect(pods.map(({ metadata, status }) => [metadata.uid, status?.phase])).toEqual([
      ['gone already', 'Running'],
      ['a', 'Failed'],
    ]);
  });

  test.each<[string, Stored | undefined, Stored[], string[]]>([
    ['a Job that has changed', job('8'), [pod('a')], ['child', 'a', 'gone already']],
    ['a Job that is gone', undefined, [pod('a')], ['a', 'gone already']],
    ['a pod that is gone', job('6'), [], ['child', 'gone already', 'a']],
    ['a pod that was not seen', job('6'), [pod('a'), pod('b')], ['child', 'a', 'b', 'gone already']],
  ])('not %s, which is seen next', async (_what, jobThere, podsThere, next) => {
    const world = worldWith(jobThere, podsThere);
    await expect(confirm(world)).rejects.toThrow('have changed since they were seen');
    const { jobs, pods } = await seen(world);
    expect([...jobs, ...pods].map(({ metadata }) => metadata.uid)).toEqual(next);
    await confirm(world);
  });
});
