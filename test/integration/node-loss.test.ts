import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Workplace, type Pod } from './workplace.ts';

/** A node that falls silent, before the real node, taint and pod-garbage controllers; nobody confirms the end of its pods. */
jest.setTimeout(180_000);
let place: Workplace;
let heart: NodeJS.Timeout;

beforeAll(async () => {
  const haste = ['--node-monitor-period=1s', '--node-monitor-grace-period=6s'];
  place = await Workplace.open({ controllerManager: haste });
  place.node('n1');
  place.claims('models', 'data');
  const metadata = { name: 'n1', namespace: 'kube-node-lease' };
  const renewTime = (): string => new Date().toISOString().replace('Z', '000Z');
  const spec = { holderIdentity: 'n1', leaseDurationSeconds: 40, renewTime: renewTime() };
  place.kubectl.run(['create', '-n', 'kube-node-lease', '-f', '-'], {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata,
    spec,
  });
  const beat = (): string[] => [
    'patch',
    'lease',
    'n1',
    '-n',
    'kube-node-lease',
    '--type=merge',
    '-p',
    JSON.stringify({ spec: { renewTime: renewTime() } }),
  ];
  heart = setInterval(() => place.plane.kubectl(beat()), 1500);
  await place.start('one');
});
afterAll(async () => {
  clearInterval(heart);
  await place?.close();
});

const unreachable = {
  key: 'node.kubernetes.io/unreachable',
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds: 3,
};
const state = (name: string): string | undefined => place.stored(name)?.status?.state;
async function placed(name: string): Promise<Pod> {
  const pod = await place.pod(name);
  const onNode = (): boolean =>
    place.kubectl.run(['get', 'pod', pod.metadata.name, '-o', 'yaml']).includes('nodeName: n1');
  await place.until('on a node', onNode);
  place.run(pod);
  await place.until('Running', () => state(name) === 'Running');
  return pod;
}

test('a lost node is said in state, condition and Event; with nodeLossSeconds the next attempt begins, else it is waited for', async () => {
  const pod = { tolerations: [unreachable] };
  place.apply('waits', { backoffLimit: 0, pod });
  place.apply('moves', { backoffLimit: 0, pod, nodeLossSeconds: 15 });
  const [waits, moves] = [await placed('waits'), await placed('moves')];
  clearInterval(heart);
  await place.until('NodeLost', () => state('waits') === 'NodeLost' && state('moves') === 'NodeLost');
  expect(place.condition('waits', 'PodsReady')).toMatchObject({ status: 'Unknown', reason: 'NodeLost' });
  expect(place.stored('waits')?.status?.message).toMatch(
    /or declare it gone \(kubectl delete node n1\), or set spec\.nodeLossSeconds/,
  );
  expect(place.stored('moves')?.status?.message).toContain('after nodeLossSeconds (15) the next attempt begins');
  await place.until('told', () => place.eventsOf('waits').includes('NodeLost'));

  await place.until('the next attempt', () => place.jobsOf('moves').includes('moves-2'));
  expect(place.stored('moves')?.status).toMatchObject({
    attempt: 2,
    lostAttempt: 1,
    restarts: 1,
    lastFailure: { reason: 'NodeLost', pod: moves.metadata.name },
  });
  await place.until('its pod beside the lost one', () => place.podsOf('moves').length === 2);
  expect(place.condition('moves', 'Failed').status).toBe('False');
  expect(state('waits')).toBe('NodeLost');
  expect([place.jobsOf('waits'), place.podsOf('waits').map(({ metadata }) => metadata.uid)]).toEqual([
    ['waits-1'],
    [waits.metadata.uid],
  ]);

  // The way out by hand: the node is declared gone, and what ran there is cleared away.
  place.kubectl.run(['taint', 'node', 'n1', 'node.kubernetes.io/out-of-service=nodeshutdown:NoExecute']);
  await place.until('replaced', () =>
    place.podsOf('waits').some(({ metadata }) => metadata.uid !== waits.metadata.uid),
  );
  await place.until('the lost Job is gone', () => !place.jobsOf('moves').includes('moves-1'));
  await place.until('counted', () => place.stored('waits')?.status?.restarts === 1);
  expect(place.stored('waits')?.status).toMatchObject({
    attempt: 1,
    restartsWithoutProgress: 0,
    lastFailure: { reason: expect.stringMatching(/^DeletionBy/) },
  });
  expect(place.condition('waits', 'Failed').status).toBe('False');
  expect(place.jobsOf('moves')).toEqual(['moves-2']);
});
