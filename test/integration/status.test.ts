import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { assert, asyncProperty, type Arbitrary } from 'fast-check';
import type { DPOJob } from '../../crds/dpojob.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import { progressSchema, terminationMessageSchema, type Progress } from '../../crds/progress.ts';
import { pooled } from '../../operator/cluster/kube-config.ts';
import { RestCluster } from '../../operator/cluster/rest-cluster.ts';
import { resources } from '../../operator/cluster/resource.ts';
import { nextStatus } from '../../operator/decide/status.ts';

import { aChild, after, endedPod, observed, runningPod } from '../operator/observed.ts';
import { byBounds } from './by-bounds.ts';
import { Workplace } from './workplace.ts';

let place: Workplace;
let cluster: RestCluster;
const stored = (): DPOJob => place.stored('fuzzed') as DPOJob;

beforeAll(async () => {
  place = await Workplace.open();
  place.apply('fuzzed');
  const config = new KubeConfig();
  config.loadFromFile(place.plane.kubeconfig);
  cluster = new RestCluster(pooled(config));
}, 120_000);
afterAll(() => place.close());

/** Records that the operator takes, of which every part lies at or near a bound of its schema. */
const records = byBounds(progressSchema).filter((one) => progressSchema.safeParse(one).success) as Arbitrary<Progress>;
const words = byBounds(terminationMessageSchema).filter((one) => terminationMessageSchema.safeParse(one).success);

/** Applies what status becomes and answers what is stored of it. */
async function applied({ apiVersion, kind, metadata }: DPOJob, status: DPOJobStatus): Promise<DPOJobStatus> {
  const { name, namespace } = metadata;
  const object = { apiVersion, kind, metadata: { name, namespace } as never, status };
  return ((await cluster.applyStatus(resources.dpojobs, object)) as unknown as DPOJob).status as DPOJobStatus;
}

test('whatever a trainer may answer can be stored in status', async () => {
  const job = stored();
  await assert(
    asyncProperty(records, async (record) => {
      const progress = progressSchema.parse(record);
      const pods = [runningPod('a')];
      const answer = { progress: { ...progress, podUID: 'a-uid' }, answeredAt: after(1), heartbeatSince: after(1) };
      const status = nextStatus(observed(job, { jobs: [aChild(1)], pods, answer }), { phase: 'Active' }, after(2));
      expect((await applied(job, status)).progress?.stage).toBe(progress.stage);
    }),
    { numRuns: 300 },
  );
}, 120_000);

test('whatever a trainer may leave when it ends can be stored in status', async () => {
  const job = stored();
  await assert(
    asyncProperty(words, async (said) => {
      const pods = [endedPod('a', 1, 5, JSON.stringify(said))];
      const status = nextStatus(observed(job, { jobs: [aChild(1)], pods }), { phase: 'Active' }, after(9));
      expect((await applied(job, status)).lastFailure?.exitCode).toBe(1);
    }),
    { numRuns: 200 },
  );
}, 120_000);
