import { deepEqual, equal, match } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startKueue } from '../cluster/kueue.ts';
import { leaves, progressOf, Workplace, type Pod } from '../integration/workplace.ts';

const queue = { 'kueue.x-k8s.io/queue-name': 'gpus' };
const flavour = { flavour: 'a100' };
const resources = { requests: { cpu: '2', memory: '2Gi' }, limits: { memory: '4Gi' } };

/** A queue of one flavour, which admits nobody yet. */
function openQueue(place: Workplace): void {
  const make = (kind: string, name: string, spec: object): string =>
    place.kubectl.run(['apply', '-f', '-'], {
      apiVersion: 'kueue.x-k8s.io/v1beta2',
      kind,
      metadata: { name },
      spec,
    });
  const quota = [
    { name: 'cpu', nominalQuota: '4' },
    { name: 'memory', nominalQuota: '8Gi' },
  ];
  const flavors = [{ name: 'a100', resources: quota }];
  const resourceGroups = [{ coveredResources: ['cpu', 'memory'], flavors }];
  make('ResourceFlavor', 'a100', { nodeLabels: flavour });
  make('ClusterQueue', 'gpus', { namespaceSelector: {}, stopPolicy: 'Hold', resourceGroups });
  make('LocalQueue', 'gpus', { clusterQueue: 'gpus' });
}

/** Held back, admitted to a flavour, evicted, admitted again and done, all by the real Kueue; throws where that is not so. */
async function live(place: Workplace): Promise<void> {
  const status = () => place.stored('queued')?.status;
  const stopPolicy = (policy: string): string =>
    place.kubectl.run([
      'patch',
      'clusterqueues.kueue.x-k8s.io',
      'gpus',
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { stopPolicy: policy } }),
    ]);
  const admitted = async (): Promise<Pod> => {
    const isSuspended = () =>
      place.kubectl.get<{ spec: { suspend?: boolean } }>('job', 'queued-1')?.spec.suspend !== false;
    await place.until('admitted', () => !isSuspended() && place.podsOf('queued').length === 1);
    const [pod] = place.podsOf('queued') as [Pod];
    const { spec } = place.kubectl.get<{ spec: { nodeSelector?: object } }>('pod', pod.metadata.name) ?? {};
    deepEqual(spec?.nodeSelector, flavour);
    place.run(pod);
    await place.until('Running', () => status()?.state === 'Running');
    return pod;
  };
  const queued = (): Promise<void> => place.until('Queued', () => status()?.state === 'Queued');
  const gone = (): Promise<void> => place.until('no pod', () => place.podsOf('queued').length === 0);

  place.apply('queued', { backoffLimit: 0, resources }, queue);
  await queued();
  match(place.condition('queued', 'PodsReady').message ?? '', /^queue gpus has not admitted the Job/);
  await gone();
  stopPolicy('None');
  const first = await admitted();
  stopPolicy('HoldAndDrain');
  await queued();
  const checkpoint = { step: 3, time: new Date().toISOString() };
  place.end(first, 75, leaves('Saved', '', progressOf(first, { checkpoint })));
  place.confirmGone(first);
  await gone();
  stopPolicy('None');
  const second = await admitted();
  deepEqual([status()?.attempt, status()?.restarts, status()?.checkpoint?.step], [1, 0, 3]);
  place.end(second, 0, leaves('Complete', '', progressOf(second, { stage: 'Done' })));
  await place.until('Complete', () => place.isTrue('queued', 'Complete'));
  equal(status()?.restarts, 0);
}

/** Plays a life in a queue of the real Kueue, and answers whether it went as it should. */
export async function soakKueue(): Promise<boolean> {
  const place = await Workplace.open();
  const kueue = await startKueue(place.plane).catch(async (error: unknown) => {
    await place.close();
    throw error;
  });
  try {
    await place.start('one');
    openQueue(place);
    await live(place);
    console.log('a life in a queue of the real Kueue: held back, admitted, evicted, admitted again, complete');
    return true;
  } catch (error) {
    console.log(String(error), readFileSync(join(place.plane.folder, 'kueue.log'), 'utf8').slice(-2000));
    return false;
  } finally {
    kueue.kill();
    await place.close();
  }
}
