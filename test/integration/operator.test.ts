import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { place } from './own-operators.ts';
import { example, leaves, progressOf, trainerAt } from './workplace.ts';

/** The operator as a program: from apply to Complete, who leads, what it watches. What becomes of jobs: lifecycle.test.ts. */

test('a job runs from apply to Complete: Job, polled figures, status, metrics, Events', async () => {
  const operator = await place.start('one');
  place.apply('whole');
  const pod = await place.pod('whole');
  const trainer = await trainerAt('127.0.0.7', () => progressOf(pod));
  place.run(pod, '127.0.0.7');
  await place.until('figures', () => place.stored('whole')?.status?.metrics?.loss !== undefined);
  expect(place.stored('whole')?.status).toMatchObject({
    state: 'Running',
    progress: { stage: 'Training', step: 3, totalSteps: 9 },
    metrics: { loss: 0.654322, beta: 0.1, rewardMargin: 0.25 },
  });
  expect(place.isTrue('whole', 'Training')).toBe(true);
  trainer.close();
  const metrics = { loss: 0.5, beta: 0.1, rewardMargin: 2 };
  place.end(pod, 0, leaves('Complete', 'done', progressOf(pod, { stage: 'Done', step: 9, percent: 100, metrics })));
  await place.until('Complete', () => place.isTrue('whole', 'Complete'));
  expect(place.stored('whole')?.status?.metrics).toEqual(metrics);
  const labels = 'namespace="default",dpojob="whole"';
  const text = await operator.metrics();
  expect(text).toContain(`dpo_job_loss{${labels}} 0.5\n`);
  expect(text).toContain(`dpo_job_reward_margin{${labels}} 2\n`);
  expect(text).toContain(`dpo_job_state{${labels},state="Complete"} 1\n`);
  await place.until('Events', () => ['Started', 'Complete'].every((one) => place.eventsOf('whole').includes(one)));
  expect(place.kubectl.run(['get', 'dpoj', 'whole'])).toMatch(/whole +Complete +9 +0.5 +2/);

  place.kubectl.run(['delete', 'dpojob', 'whole']);
  await place.until('no series', async () => !(await operator.metrics()).includes('dpojob="whole"'));
  expect(await operator.stop()).toBe(0);
  expect(operator.log.at(-1)?.['message']).toBe('stopped');
  expect(operator.log.filter(({ level }) => level === 'error')).toEqual([]);
});

test('a job whose output is pushed has a claim of its own, the same over its attempts, which goes with it', async () => {
  await place.start('one');
  const claim = (): { metadata: { uid: string }; spec: { resources: object } } | undefined =>
    place.kubectl.get('pvc', 'pushed-work');
  const output = { source: 's3://bucket/pushed', format: 'model' } as const;
  place.apply('pushed', { output });
  await place.pod('pushed');
  const first = claim();
  expect(first?.spec.resources).toEqual({ requests: { storage: '50Gi' } });
  place.apply('pushed', { output, suspend: true });
  await place.until('no Job', () => {
    place.podsOf('pushed').forEach((pod) => place.confirmGone(pod));
    return place.jobsOf('pushed').length === 0;
  });
  place.apply('pushed', { output, suspend: false });
  await place.until('the next attempt', () => place.jobsOf('pushed').includes('pushed-2'));
  expect(claim()?.metadata.uid).toBe(first?.metadata.uid);
  place.kubectl.run(['delete', 'dpojob', 'pushed']);
  await place.until('no claim', () => {
    place.podsOf('pushed').forEach((pod) => place.confirmGone(pod));
    return claim() === undefined;
  });
});

test('of two operators one leads; when it is killed the other takes over, makes nothing twice and shows the figures', async () => {
  const first = await place.start('first');
  await place.until('a leader', () => first.leads());
  const second = await place.start('second');
  await place.until('a ready standby', () => second.ready());
  place.apply('kept');
  const pod = await place.pod('kept');
  place.end(pod, 0, leaves('Complete', '', progressOf(pod, { stage: 'Done' })));
  await place.until('Complete', () => place.isTrue('kept', 'Complete'));
  place.apply('left');
  await place.pod('left');
  expect([await second.leads(), (await second.metrics()).includes('dpojob="kept"')]).toEqual([false, false]);

  await first.stop('SIGKILL');
  place.apply('after');
  await place.until('the other leads', () => second.leads(), 30);
  expect(await second.metrics()).toContain('dpo_job_loss{namespace="default",dpojob="kept"} 0.654322\n');
  await place.pod('after');
  await sleep(1000);
  expect(['kept', 'left', 'after'].map((name) => place.jobsOf(name))).toEqual([['kept-1'], ['left-1'], ['after-1']]);
});

test('a leader that stops gives its lease back: the next leads at once, and finds what ended meanwhile', async () => {
  const first = await place.start('first');
  place.apply('meanwhile');
  const pod = await place.pod('meanwhile');
  expect(await first.stop()).toBe(0);
  place.end(pod, 65, leaves('InvalidData', 'line 7: no chosen answer'));
  await place.until('the Job failed', () =>
    place.kubectl.run(['get', 'job', 'meanwhile-1', '-o', 'yaml']).includes('PodFailurePolicy'),
  );
  place.apply('meanwhile', { suspend: true });
  const second = await place.start('second');
  await place.until('a leader', () => second.leads(), 5);
  await place.until('Failed', () => place.isTrue('meanwhile', 'Failed'));
  expect(place.stored('meanwhile')?.status?.lastFailure).toMatchObject({
    reason: 'InvalidData',
    message: 'line 7: no chosen answer',
  });
});

test('an operator of one namespace leaves the others alone', async () => {
  place.kubectl.run(['create', 'namespace', 'mine']);
  const operator = await place.start('narrow', { WATCH_NAMESPACES: 'mine' });
  await place.until('a leader', () => operator.leads());
  place.apply('elsewhere');
  place.kubectl.run(['apply', '--server-side', '-n', 'mine', '-f', '-'], { ...example, metadata: { name: 'here' } });
  await place.until('a Job', () => place.kubectl.get<{ items: object[] }>('jobs', '-n', 'mine')?.items.length === 1);
  expect(place.jobsOf('elsewhere')).toEqual([]);
});
