import { describe, expect, test } from '@jest/globals';
import type { DPOJob } from '../../crds/dpojob.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import type { Event, Observation } from '../../operator/decide/observation.ts';
import { ApiError } from '../../operator/cluster/errors.ts';
import { reconcile, type Found, type World } from '../../operator/reconcile.ts';
import { aChild, after, aJob, aRecord, conditionOf, observed, runningPod, start } from './observed.ts';

/** A world that is one DPOJob: what is written is what is seen next. */
class OneJob implements World {
  job: DPOJob;
  seen: Partial<Observation> = {};
  events: string[] = [];
  written = 0;
  /** Times that the API server was asked whether a view is its own. */
  confirmed = 0;
  confirmedChildren = 0;
  /** A Job or a pod is not as it was seen. */
  unseen = false;
  created: string[] = [];
  /** Looks whose ends of pods need not be seen again. */
  settled = 0;
  deleted = 0;
  /** Names that belong to something else. */
  taken = new Set<string>();
  /** What is there though it is not seen. */
  found = new Map<string, Found>();
  /** What the API server refuses to store. */
  invalid: (status: DPOJobStatus) => boolean = () => false;
  /** The next act gets no answer of the API server. */
  refuse = false;
  /** What the API server answers to the creation of a Job. */
  refusal: ApiError | undefined;
  clock = start;

  constructor(job: DPOJob) {
    this.job = job;
  }

  now = (): string => this.clock;
  untilFigures = (): number => 0;
  emit = (_job: DPOJob, { reason }: Event): void => void this.events.push(reason);
  observe = async (): Promise<Observation> => observed(this.job, this.seen);
  confirm = async (job: DPOJob): Promise<void> => {
    if (job !== this.job) throw new ApiError(409, 'Conflict', 'changed');
    this.confirmed += 1;
  };
  confirmChildren = async (): Promise<void> => {
    if (this.unseen) throw new ApiError(409, 'Conflict', 'changed');
    this.confirmedChildren += 1;
  };
  settle = (): void => void (this.settled += 1);
  deleteDPOJob = async (): Promise<void> => undefined;

  applyStatus: World['applyStatus'] = async (job, status) => {
    // The API server refuses a write that rests on an old view.
    expect(job).toBe(this.job);
    if (this.invalid(status)) throw new ApiError(422, 'Invalid', 'status.data.dropped: too many');
    this.written += 1;
    return (this.job = { ...job, status });
  };

  deleteJob = async (): Promise<void> => {
    this.#act();
    this.deleted += 1;
  };
  create: World['create'] = async ({ kind, metadata }) => {
    this.#act();
    const name = metadata?.name ?? '';
    if (kind === 'Job' && this.refusal !== undefined) throw this.refusal;
    if (this.taken.has(name)) return { created: false, ownerUID: 'someone', labelled: true };
    this.created.push(name);
    return { created: true };
  };

  find: World['find'] = async ({ metadata }) => this.found.get(metadata?.name ?? '');

  #act(): void {
    if (!this.refuse) return;
    this.refuse = false;
    throw new Error('no route');
  }
}

describe('a Job that the API server refuses', () => {
  test.each([
    [
      'JobRefused',
      new ApiError(422, 'Invalid', 'Job.batch "quickstart-1" is invalid: spec.template.spec.volumes[4].name'),
    ],
    ['JobRefused', new ApiError(403, 'Forbidden', 'jobs.batch is forbidden: User "dpo" cannot create resource "jobs"')],
    ['QuotaExceeded', new ApiError(403, 'Forbidden', 'jobs.batch "quickstart-1" is forbidden: exceeded quota: few')],
  ])('makes Accepted False (%s) with its words, is told once, and is tried again', async (reason, refusal) => {
    const world = new OneJob(aJob());
    world.refusal = refusal;
    expect(await look(world)).toBe(30);
    world.clock = after(30);
    expect(await look(world)).toBe(30);
    expect(world.events).toEqual([reason]);
    const message = expect.stringContaining(refusal.message);
    expect(conditionOf(world.job.status ?? {}, 'Accepted')).toMatchObject({ status: 'False', reason, message });
    expect(world.job.status).toMatchObject({ state: 'Pending', reason, message });
    const waits: (number | undefined)[] = [];
    for (const seconds of [60, 120, 240, 480, 780]) {
      world.clock = after(seconds);
      waits.push(await look(world));
    }
    expect(waits).toEqual([60, 120, 240, 300, 300]);
    world.refusal = undefined;
    await look(world);
    world.seen = { jobs: [aChild(1)] };
    await look(world);
    expect(world.events).toEqual([reason, 'Started']);
    expect(world.job.status?.reason).toBeUndefined();
  });

  test('within startDeadlineSeconds fails the DPOJob with them', async () => {
    const world = new OneJob(aJob({ startDeadlineSeconds: 60 }));
    world.refusal = new ApiError(422, 'Invalid', 'spec.template.spec.volumes[4].name: Duplicate value');
    await look(world);
    world.clock = after(60);
    await look(world);
    expect(world.job.status).toMatchObject({ state: 'Failed', reason: 'JobRefused' });
    expect(world.job.status?.lastFailure).toMatchObject({ reason: 'JobRefused', time: after(60) });
    expect(world.job.status?.message).toMatch(/no trainer ran within startDeadlineSeconds \(60\): .*Duplicate value/);
  });
});

const look = (world: OneJob): Promise<number | undefined> => reconcile(world, 'team', 'quickstart');

test('an event is told with the write of its status, once, although the act after it fails and is repeated', async () => {
  const world = new OneJob(aJob());
  world.refuse = true;
  await expect(look(world)).rejects.toThrow('no route');
  await look(world);
  expect([world.events, world.created]).toEqual([['Started'], ['quickstart-1', 'quickstart-1']]);
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: true } };
  world.seen = { jobs: [aChild(1)], pods: [runningPod('a')] };
  world.refuse = true;
  await expect(look(world)).rejects.toThrow('no route');
  await look(world);
  expect(world.events).toEqual(['Started', 'Suspended']);
});

test('a job whose output is pushed has its claim made before its Job; a claim of that name stands in the way of both', async () => {
  const world = new OneJob(aJob({ output: { source: 's3://bucket/mine' } }));
  world.taken.add('quickstart-work');
  expect(await look(world)).toBe(5);
  expect(world.created).toEqual(['quickstart-1']);
  const message = 'PersistentVolumeClaim quickstart-work exists and belongs to something else: delete or rename it';
  expect(conditionOf(world.job.status ?? {}, 'Accepted')).toMatchObject({ reason: 'NameTaken', message });
  world.taken.clear();
  await look(world);
  expect(world.created).toEqual(['quickstart-1', 'quickstart-1', 'quickstart-work', 'quickstart-1']);
});

test('a name that something else has makes Accepted False, with the remedy, until it is free', async () => {
  const world = new OneJob(aJob());
  world.taken.add('quickstart-1');
  const accepted = (): object => conditionOf(world.job.status ?? {}, 'Accepted') ?? {};
  expect(await look(world)).toBe(5);
  const message = 'ConfigMap quickstart-1 exists and belongs to something else: delete or rename it';
  expect(accepted()).toMatchObject({ status: 'False', reason: 'NameTaken', message, lastTransitionTime: start });
  const { written } = world;
  world.clock = after(5);
  expect(await look(world)).toBe(5);
  expect([world.written, world.events]).toEqual([written, ['NameTaken']]);
  world.taken.clear();
  world.clock = after(10);
  expect(await look(world)).toBeUndefined();
  expect(world.events).toEqual(['NameTaken', 'Started']);
  world.seen = { jobs: [aChild(1)] };
  await look(world);
  expect(accepted()).toMatchObject({ status: 'True', reason: 'Accepted', lastTransitionTime: after(10) });
});

test("a status that is refused for a pod's words is written without them, and the operator goes on", async () => {
  const world = new OneJob(aJob());
  await look(world);
  const answer = { progress: aRecord('a', 3), answeredAt: after(3), heartbeatSince: after(3) };
  world.seen = { jobs: [aChild(1)], pods: [runningPod('a')], answer };
  world.invalid = ({ progress }) => progress !== undefined;
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: true } };
  await look(world);
  expect(world.events).toEqual(['Started', 'StatusRefused', 'Suspended']);
  expect(world.deleted).toBe(1);
});

test('nothing that cannot be taken back is said of Jobs and pods that the API server has otherwise', async () => {
  const world = new OneJob(aJob({ activeDeadlineSeconds: 60 }));
  await look(world);
  world.clock = after(61);
  world.unseen = true;
  await expect(look(world)).rejects.toThrow('changed');
  expect([world.job.status?.state, world.events]).toEqual(['Pending', ['Started']]);
  world.unseen = false;
  await look(world);
  expect([world.job.status?.state, world.confirmedChildren]).toEqual(['Failed', 1]);
});

test('a Job that has lost its labels is told while its pod runs; of one that is gone the pod is waited for', async () => {
  const world = new OneJob(aJob());
  await look(world);
  world.seen = { pods: [runningPod('a')] };
  await look(world);
  expect([world.created.length, conditionOf(world.job.status ?? {}, 'Accepted')?.status]).toEqual([2, 'True']);
  world.found.set('quickstart-1', { ownerUID: 'job-uid', labelled: false });
  expect(await look(world)).toBe(5);
  expect(world.job.status).toMatchObject({ reason: 'NameTaken', message: expect.stringContaining('has lost labels') });
  world.seen = {};
  world.found.clear();
  await look(world);
  expect(world.created).toHaveLength(4);
});

test.each<[string, Partial<DPOJob['spec']>]>([
  ['a deadline', { activeDeadlineSeconds: 60 }],
  ['a suspend', { suspend: true }],
])('a Job that has lost its labels is told, and %s waits for it to be seen', async (_what, spec) => {
  const world = new OneJob(aJob());
  await look(world);
  world.job = { ...world.job, spec: { ...world.job.spec, ...spec } };
  world.clock = after(61);
  world.found.set('quickstart-1', { ownerUID: 'job-uid', labelled: false });
  for (const pods of [[runningPod('a')], []]) {
    world.seen = { pods };
    world.settled = 0;
    expect(await look(world)).toBe(5);
    expect(world.job.status?.message).toContain('has lost labels');
    expect(['Failed', 'Suspended']).not.toContain(world.job.status?.state);
  }
  // The last decision was put down nowhere: how a pod ended must be seen again.
  expect(world.settled).toBe(0);
  world.found.clear();
  await look(world);
  expect([world.job.status?.state, world.settled]).toEqual([spec.suspend === true ? 'Suspended' : 'Failed', 1]);
});

test('how pods ended must be seen again where nothing was put down of it', async () => {
  const world = new OneJob(aJob());
  await look(world);
  expect(world.settled).toBe(1);
  // Figures that wait for their turn.
  const answer = { progress: aRecord('a', 3), answeredAt: after(3), heartbeatSince: after(3) };
  world.seen = { jobs: [aChild(1)], pods: [runningPod('a')], answer };
  await look(world);
  world.untilFigures = () => 7;
  world.seen.answer = { ...answer, progress: { ...answer.progress, step: 4, heartbeat: 4 } };
  expect([await look(world), world.settled]).toEqual([7, 2]);
  // A Job that ended before its pod was seen to.
  const end = { type: 'Failed', status: 'True', lastTransitionTime: after(8) };
  world.clock = after(9);
  world.seen.jobs = [aChild(1, { status: { conditions: [end] } })];
  expect([await look(world), world.settled]).toEqual([1, 2]);
  world.clock = after(30);
  await look(world);
  expect(world.settled).toBe(3);
});

test('a job is not said to be suspended while a Job or a pod may have gone unseen', async () => {
  const world = new OneJob(aJob());
  await look(world);
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: true } };
  world.unseen = true;
  await expect(look(world)).rejects.toThrow('changed');
  expect(world.job.status?.state).toBe('Pending');
  world.unseen = false;
  await look(world);
  await look(world);
  expect([world.job.status?.state, world.confirmedChildren]).toEqual(['Suspended', 1]);
});

test('a Job is made only on a view that the API server confirms, by the write of the status or else by a question', async () => {
  const world = new OneJob(aJob());
  await look(world);
  expect([world.written, world.confirmed, world.created.length]).toEqual([1, 0, 2]);
  // The Job vanished, or so an old view says; there is nothing new to write.
  const seen = world.job;
  await look(world);
  expect([world.written, world.confirmed, world.confirmedChildren, world.created.length]).toEqual([1, 1, 1, 4]);
  world.observe = async () => observed(seen);
  world.job = { ...seen, status: { ...seen.status, state: 'Complete' } };
  await expect(look(world)).rejects.toThrow('changed');
  expect([world.confirmed, world.created.length]).toEqual([1, 4]);
});

test('a Job is deleted only on a view that the API server confirms: the job may have been resumed meanwhile', async () => {
  const world = new OneJob(aJob());
  await look(world);
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: true } };
  world.seen = { jobs: [aChild(1)] };
  await look(world);
  const suspending = world.job;
  world.observe = async () => observed(suspending, { jobs: [aChild(2)] });
  world.job = { ...suspending, status: { ...suspending.status, attempt: 2 } };
  await expect(look(world)).rejects.toThrow('changed');
  expect(world.deleted).toBe(1);
});
