import { labels } from '../../crds/labels.ts';
import type { Cluster, Stored } from '../../operator/cluster/cluster.ts';
import { keepDPOJob, keepPod, type StoredPod } from '../../operator/keep.ts';
import { Recorder } from '../../operator/loop/recorder.ts';
import { ClusterWorld, Stores } from '../../operator/world.ts';
import { after, aJob, images } from './observed.ts';

export const identity = { uid: 'job-uid', name: 'quickstart' };
export const stored = (status: object = { attempt: 1 }): ReturnType<typeof keepDPOJob> => {
  const job = aJob();
  return { ...job, metadata: { ...job.metadata, resourceVersion: '5' }, status } as ReturnType<typeof keepDPOJob>;
};
export const jobNamed = (name: string): object => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  name,
  uid: 'j',
  controller: true,
});
export const pod = (
  uid: string,
  attempt = 1,
  owner = identity.uid,
  owners = [jobNamed(`quickstart-${attempt}`)],
): StoredPod =>
  keepPod({
    metadata: {
      name: uid,
      namespace: 'team',
      uid,
      resourceVersion: '7',
      creationTimestamp: after(1),
      ownerReferences: owners,
      labels: { [labels.uid]: owner, [labels.dpojob]: identity.name, [labels.attempt]: String(attempt) },
    },
    status: { phase: 'Running' },
  } as unknown as Stored);

/** A world that knows one DPOJob, over a cluster that answers these calls. */
export function worldOver(calls: Partial<Cluster>): ClusterWorld {
  const cluster = calls as Cluster;
  const world = new ClusterWorld(cluster, new Stores(), new Recorder(cluster, 'me', () => undefined), images);
  world.stores.dpojobs.put(stored());
  return world;
}
/** UIDs of the pods that a reconcile sees. */
export const podsSeen = async (world: ClusterWorld): Promise<string[]> =>
  ((await world.observe('team', 'quickstart'))?.pods ?? []).map(({ metadata }) => metadata.uid);
