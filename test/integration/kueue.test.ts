import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { leaves, progressOf, Workplace, type Pod } from './workplace.ts';

/** Kueue's moves, played on a real API server with the real Job controller: hold back, admit to a flavour, evict, admit again. */
jest.setTimeout(180_000);
const queue = { 'kueue.x-k8s.io/queue-name': 'gpus', 'kueue.x-k8s.io/priority-class': 'research', private: 'stays' };
let place: Workplace;

beforeAll(async () => {
  place = await Workplace.open();
  await place.start('one');
});
afterAll(() => place?.close());

interface Child {
  metadata: { uid: string; labels: Record<string, string>; managedFields: { manager: string; operation: string }[] };
  spec: { suspend?: boolean; template: { spec: { nodeSelector?: object } } };
}
const child = (): Child => place.kubectl.get<Child>('job', 'queued-1', '--show-managed-fields') as Child;
const patch = (change: object, ...args: string[]): string =>
  place.kubectl.run([
    'patch',
    'job',
    'queued-1',
    '--field-manager=kueue',
    '--type=merge',
    '-p',
    JSON.stringify(change),
    ...args,
  ]);
/** Kueue holds a Job back when it is made, and when it evicts it: it forgets when it began, so that its template may change. */
function holdsBack(): void {
  patch({ spec: { suspend: true } });
  patch({ status: { startTime: null } }, '--subresource=status');
}
/** Kueue admits a Job: its pods get the node selector of the flavour that the quota was found in. */
const admits = (nodeSelector: object): string => {
  patch({ spec: { template: { spec: { nodeSelector } } } });
  return patch({ spec: { suspend: false } });
};
const status = (): NonNullable<ReturnType<Workplace['stored']>>['status'] => place.stored('queued')?.status;
const queued = (): Promise<void> => place.until('Queued', () => status()?.state === 'Queued');
const selectorOf = ({ metadata }: Pod): unknown =>
  place.kubectl.get<{ spec: { nodeSelector?: object } }>('pod', metadata.name)?.spec.nodeSelector;

test('a job with a queue waits, is admitted, evicted and admitted again as one attempt; only its active seconds count', async () => {
  place.apply('queued', { backoffLimit: 0, activeDeadlineSeconds: 15, startDeadlineSeconds: 8 }, queue);
  await place.until('a Job', () => place.jobsOf('queued').length === 1);
  expect(child().metadata.labels).toMatchObject({
    'kueue.x-k8s.io/queue-name': 'gpus',
    'kueue.x-k8s.io/priority-class': 'research',
  });
  expect(child().metadata.labels['private']).toBeUndefined();
  holdsBack();
  await queued();
  expect(status()?.attemptStartTime).toBeUndefined();
  expect(place.condition('queued', 'PodsReady').message).toBe('queue gpus has not admitted the Job');
  // Longer than either deadline, in two parts.
  await sleep(9000);

  admits({ flavour: 'a100' });
  await place.until('a pod', () => place.podsOf('queued').length === 1);
  const first = place.podsOf('queued')[0] as Pod;
  expect(selectorOf(first)).toEqual({ flavour: 'a100' });
  place.run(first);
  await place.until('Running', () => status()?.state === 'Running');

  holdsBack();
  await place.until('told to stop', () =>
    place.kubectl.run(['get', 'pod', first.metadata.name, '-o', 'yaml']).includes('deletionTimestamp'),
  );
  await queued();
  place.end(
    first,
    75,
    leaves('Saved', '', progressOf(first, { checkpoint: { step: 3, time: new Date().toISOString() } })),
  );
  place.confirmGone(first);
  await place.until('saved', () => status()?.checkpoint?.step === 3);
  await place.until('no pod', () => place.podsOf('queued').length === 0);
  expect(status()).toMatchObject({ state: 'Queued', attempt: 1, restarts: 0, restartsWithoutProgress: 0 });
  const banked = status()?.activeSeconds ?? 0;
  await sleep(7000);

  admits({ flavour: 'h100' });
  await place.until('a pod', () => place.podsOf('queued').length === 1);
  const second = place.podsOf('queued')[0] as Pod;
  expect(selectorOf(second)).toEqual({ flavour: 'h100' });
  place.run(second);
  await place.until('Running', () => status()?.state === 'Running');
  expect(status()).toMatchObject({ attempt: 1, activeSeconds: banked });
  // The operator has written nothing of the Job since it made it: what Kueue patches is Kueue's.
  const writers = child().metadata.managedFields.map(({ manager, operation }) => `${manager} ${operation}`);
  expect(writers.filter((one) => one.includes('dpo-operator'))).toEqual(['dpo-operator Update']);
  place.end(second, 0, leaves('Complete', '', progressOf(second, { stage: 'Done' })));
  await place.until('Complete', () => place.isTrue('queued', 'Complete'));
  const events = place.eventsOf('queued');
  expect(['Started', 'Queued', 'Complete'].every((one) => events.includes(one))).toBe(true);
});

test('a job suspended while it is queued leaves the queue; resumed, its next attempt stands in it anew', async () => {
  place.apply('leaves', {}, queue);
  await place.until('a Job', () => place.jobsOf('leaves').length === 1);
  place.kubectl.run(['patch', 'job', 'leaves-1', '--type=merge', '-p', '{"spec":{"suspend":true}}']);
  await place.until('Queued', () => place.stored('leaves')?.status?.state === 'Queued');
  place.apply('leaves', { suspend: true }, queue);
  await place.until('Suspended', () => place.isTrue('leaves', 'Suspended'));
  for (const { metadata } of place.podsOf('leaves')) place.confirmGone({ metadata });
  place.apply('leaves', { suspend: false }, queue);
  await place.until('the next', () => place.jobsOf('leaves').join() === 'leaves-2');
  expect(place.kubectl.run(['get', 'job', 'leaves-2', '-o', 'yaml'])).toContain('kueue.x-k8s.io/queue-name: gpus');
});
