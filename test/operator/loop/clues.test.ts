import { expect, test } from '@jest/globals';
import type { Cluster, Selection, Stored } from '../../../operator/cluster/cluster.ts';
import { ApiError } from '../../../operator/cluster/errors.ts';
import { Clues } from '../../../operator/loop/clues.ts';
import { after } from '../observed.ts';

/** Events that an API server has, and a clock in seconds. */
class Told {
  now = 0;
  asked: string[] = [];
  events: object[] = [];
  refuse = false;
  readonly clues = new Clues({ list: this.list.bind(this) as Cluster['list'] }, () => this.now);

  async list(
    _resource: object,
    { namespace, fieldSelector }: Selection,
  ): Promise<{ items: Stored[]; resourceVersion: string }> {
    this.asked.push(`${namespace} ${fieldSelector}`);
    if (this.refuse) throw new ApiError(403, 'Forbidden', 'events is forbidden');
    return { items: this.events as Stored[], resourceVersion: '1' };
  }

  of(uid = 'child', since = after(0), job = 'job'): ReturnType<Clues['of']> {
    return this.clues.of(job, 'team', { uid, since });
  }
}
const failed = (message: string, seconds: number, rest: object = {}): object => ({
  reason: 'FailedCreate',
  message,
  lastTimestamp: after(seconds),
  ...rest,
});

test('nothing is asked for five seconds, then of the one object, less often each time', async () => {
  const told = new Told();
  told.events = [failed('quota', 5)];
  expect(await told.of()).toEqual({ clueAfter: 5 });
  const waits: number[] = [];
  for (let i = 0; i < 8; i += 1) {
    told.now += waits.at(-1) ?? 5;
    const { clue, clueAfter = 0 } = await told.of();
    expect(clue).toEqual({ reason: 'FailedCreate', message: 'quota' });
    waits.push(clueAfter);
  }
  expect(waits).toEqual([10, 20, 40, 80, 160, 300, 300, 300]);
  expect(told.asked).toEqual(Array(8).fill('team involvedObject.uid=child,type=Warning'));
});

test('the newest that tells something counts, whichever of its times it has, and none from before', async () => {
  const told = new Told();
  told.now = 0;
  await told.of('child', after(100));
  told.now = 5;
  told.events = [failed('old', 50)];
  expect(await told.of('child', after(100))).toEqual({ clueAfter: 10 });
  told.now = 15;
  told.events = [
    failed('old', 50),
    failed('aggregated', 0, { lastTimestamp: null, eventTime: after(1), series: { lastObservedTime: after(200) } }),
    failed('single', 0, { lastTimestamp: null, eventTime: after(150) }),
    { reason: 'BackoffLimitExceeded', message: 'other', lastTimestamp: after(900) },
  ];
  // As JSON has them: absent times are absent or null.
  expect((await told.of('child', after(100))).clue?.message).toBe('aggregated');
});

test('another object begins anew, and a job that waits for nothing is forgotten', async () => {
  const told = new Told();
  told.events = [failed('quota', 5)];
  await told.of();
  told.now = 5;
  expect((await told.of()).clue).toBeDefined();
  expect(await told.of('pod')).toEqual({ clueAfter: 5 });
  expect(await told.clues.of('job', 'team', undefined)).toEqual({});
  told.now = 50;
  expect(await told.of('pod')).toEqual({ clueAfter: 5 });
});

test('without the right to list Events the clue is missing, and is asked for again later', async () => {
  const told = new Told();
  told.refuse = true;
  await told.of();
  told.now = 5;
  expect(await told.of()).toEqual({ clueAfter: 10 });
});

test('many that are stuck ask twice a second in all', async () => {
  const told = new Told();
  const all = Array.from({ length: 50 }, (_, i) => `job-${i}`);
  const round = (): Promise<unknown> => Promise.all(all.map((job) => told.of(job, after(0), job)));
  await round();
  for (told.now = 5; told.now < 10; told.now += 0.1) await round();
  expect(told.asked.length).toBeLessThanOrEqual(11);
  expect(told.asked.length).toBeGreaterThanOrEqual(9);
  // The last of them waits for its turn, not to be told each second that it is not yet.
  expect((await told.of('job-49', after(0), 'job-49')).clueAfter).toBeGreaterThan(15);
});
