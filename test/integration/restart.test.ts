import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { place } from './own-operators.ts';
import { leaves, progressOf, type Pod } from './workplace.ts';

/** What a new operator does with the jobs of the one before: another version, or the same after a restart. */

const imageOf = ({ metadata }: Pod): string | undefined =>
  place.kubectl.get<{ spec: { containers: { image: string }[] } }>('pod', metadata.name)?.spec.containers[0]?.image;

test('an upgrade to another trainer image touches no job that runs: it ends without error or restart, and a next attempt goes on with the image that wrote its checkpoint', async () => {
  const older = await place.start('older', { TRAINER_IMAGE: 'trainer:old' });
  for (const name of ['through', 'again']) place.apply(name);
  const pods = [await place.pod('through'), await place.pod('again')] as const;
  for (const pod of pods) place.run(pod);
  await place.until(
    'Running',
    () => pods.length === 2 && ['through', 'again'].every((name) => place.stored(name)?.status?.state === 'Running'),
  );
  const whole = (name: string): unknown => {
    const { metadata, spec } = place.kubectl.get<{ metadata: { uid: string; generation: number }; spec: object }>(
      'job',
      name,
    ) ?? { metadata: undefined, spec: undefined };
    return [metadata?.uid, metadata?.generation, spec];
  };
  const before = whole('through-1');
  expect(await older.stop()).toBe(0);

  const newer = await place.start('newer', { TRAINER_IMAGE: 'trainer:new' });
  await place.until('a leader', () => newer.leads());
  await sleep(3000);
  expect(whole('through-1')).toEqual(before);
  expect(place.podsOf('through').map(({ metadata }) => metadata.uid)).toEqual([pods[0].metadata.uid]);
  place.end(pods[0], 0, leaves('Complete', '', progressOf(pods[0], { stage: 'Done' })));
  await place.until('Complete', () => place.isTrue('through', 'Complete'));
  expect(place.stored('through')?.status).toMatchObject({ attempt: 1, restarts: 0, image: 'trainer:old' });

  place.apply('again', { suspend: true });
  await place.until('told to stop', () =>
    place.kubectl.run(['get', 'pod', pods[1].metadata.name, '-o', 'yaml']).includes('deletionTimestamp'),
  );
  place.end(pods[1], 75, leaves('Saved'));
  place.confirmGone(pods[1]);
  await place.until('Suspended', () => place.isTrue('again', 'Suspended'));
  place.apply('again', { suspend: false });
  await place.until('the next', () => place.jobsOf('again').join() === 'again-2' && place.podsOf('again').length === 1);
  expect([imageOf(place.podsOf('again')[0] as Pod), place.stored('again')?.status?.image]).toEqual([
    'trainer:old',
    'trainer:old',
  ]);
  place.apply('after');
  const first = await place.pod('after');
  expect(imageOf(first)).toBe('trainer:new');
  expect(newer.log.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
});

test('TTL and deadlines run on over a restart of the operator, to the second', async () => {
  const first = await place.start('first');
  place.apply('ended', { ttlSecondsAfterFinished: 14 });
  place.apply('past', { ttlSecondsAfterFinished: 1 });
  place.apply('active', { activeDeadlineSeconds: 16 });
  for (const name of ['ended', 'past']) place.end(await place.pod(name), 0);
  place.run(await place.pod('active'));
  await place.until('Complete', () => place.isTrue('ended', 'Complete'));
  const completed = Date.parse(place.stored('ended')?.status?.completionTime ?? '');
  const begun = Date.parse(place.stored('active')?.status?.attemptStartTime ?? '');
  expect(await first.stop()).toBe(0);
  await sleep(3000);
  await place.start('second');
  // When it was told to go, or gone.
  const left = async (name: string, within: number): Promise<number> => {
    let at = Number.NaN;
    const isGoing = (): boolean => {
      const job = place.stored(name);
      at = job === undefined ? Date.now() : Date.parse(job.metadata.deletionTimestamp ?? '');
      return !Number.isNaN(at);
    };
    await place.until(`${name} goes`, isGoing, within);
    return at;
  };
  // Passed while nobody looked: at once.
  await left('past', 10);
  const seconds = ((await left('ended', 60)) - completed) / 1000;
  // A time of the API server has whole seconds.
  expect(seconds).toBeGreaterThan(13);
  expect(seconds).toBeLessThan(16);
  await place.until('Failed', () => place.isTrue('active', 'Failed'));
  const failed = Date.parse(place.stored('active')?.status?.completionTime ?? '');
  expect((failed - begun) / 1000).toBeGreaterThanOrEqual(16);
  expect((failed - begun) / 1000).toBeLessThan(18);
});

test('a job that is managed by another controller is left alone, over a restart and to its deletion', async () => {
  const first = await place.start('first');
  place.apply('theirs', { managedBy: 'kueue.x-k8s.io/multikueue' });
  place.apply('ours', { managedBy: 'training.dpo-operator.io/dpo-operator' });
  await place.pod('ours');
  await first.stop();
  const second = await place.start('second');
  await place.until('a leader', () => second.leads());
  place.kubectl.run([
    'patch',
    'dpojob',
    'theirs',
    '--subresource=status',
    '--type=merge',
    '-p',
    '{"status":{"state":"Running","conditions":[]}}',
  ]);
  await sleep(2000);
  expect([place.jobsOf('theirs'), place.eventsOf('theirs')]).toEqual([[], []]);
  expect(place.stored('theirs')?.status).toEqual({ state: 'Running', conditions: [] });
  expect(await second.metrics()).not.toContain('dpojob="theirs"');
  const { code, output } = place.plane.kubectl([
    'patch',
    'dpojob',
    'theirs',
    '--type=merge',
    '-p',
    '{"spec":{"managedBy":null}}',
  ]);
  expect([code, output]).toEqual([1, expect.stringContaining('spec.managedBy is immutable')]);
});
