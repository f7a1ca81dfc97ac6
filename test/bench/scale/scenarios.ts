import { setTimeout as sleep } from 'node:timers/promises';
import { controllerNames as names } from '../../../operator/serve/names.ts';
import type { OperatorProcess } from '../../integration/operator-process.ts';
import type { Measured, ScalePlace } from './place.ts';
import { bucketOf, growth, percentile, samplesOf, slope } from './stats.ts';

const total = (sums: Readonly<Record<string, number>>): number => Object.values(sums).reduce((a, b) => a + b, 0);
const namesOf = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}-${String(i).padStart(5, '0')}`);
const queueDepth = async (operator: OperatorProcess): Promise<number> =>
  samplesOf(await operator.metrics(), names.queueDepth)[0]?.value ?? NaN;

/** Calls `look` every so many seconds until the answer is called. */
function every(seconds: number, look: () => Promise<void> | void): () => Promise<void> {
  const over = new AbortController();
  const looking = (async () => {
    while (!over.signal.aborted) {
      await look();
      await sleep(seconds * 1000);
    }
  })();
  return () => {
    over.abort();
    return looking;
  };
}

/** Milliseconds from a DPOJob's creation until its Job is there, one DPOJob at a time. */
export interface Latency {
  count: number;
  p50: number;
  p99: number;
}

export async function measureLatency(place: ScalePlace, count: number): Promise<Latency> {
  const taken: number[] = [];
  let seen = (_name: string): void => {};
  place.jobs.onChange((_before, after) => seen(after?.metadata.name ?? ''));
  for (const name of namesOf('one', count)) {
    const begun = performance.now();
    const there = new Promise<void>((resolve) => {
      seen = (job) => (job === `${name}-1` ? resolve() : undefined);
    });
    await place.create(name);
    await there;
    taken.push(performance.now() - begun);
    await place.until(`the end of ${name}`, () => place.dpojobs.get('default', name)?.status?.state === 'Complete');
  }
  return { count, p50: percentile(taken, 0.5), p99: percentile(taken, 0.99) };
}

/** Many DPOJobs created at once. */
export interface Burst {
  count: number;
  /** From the first creation until every Job is there, and until every DPOJob is Complete. */
  jobsSeconds: number;
  completeSeconds: number;
  /** DPOJobs for which a Job was made twice. */
  duplicates: number;
  /** Requests to the API server in a DPOJob's life, all and by method, those included that only tell progress. */
  requests: number;
  byMethod: Record<string, number>;
  deepestQueue: number;
}

export async function measureBurst(place: ScalePlace, { operator }: Measured, count: number): Promise<Burst> {
  const created = namesOf('burst', count);
  const before = await operator.metrics();
  const depths: number[] = [];
  const stop = every(1, async () => void depths.push(await queueDepth(operator)));
  const begun = performance.now();
  const since = (): number => (performance.now() - begun) / 1000;
  const creating = place.each(created, (name) => place.create(name));
  await place.until('all Jobs', () => created.every((name) => place.made.has(name)));
  const jobsSeconds = since();
  await creating;
  await place.until('all Complete', () => place.inState('Complete', 'burst') === count);
  const completeSeconds = since();
  await stop();
  const sums = growth(before, await operator.metrics(), names.requests, 'method');
  const byMethod = Object.fromEntries(Object.entries(sums).map(([method, sum]) => [method, sum / count]));
  const duplicates = created.filter((name) => place.made.get(name) !== 1).length;
  const deepestQueue = Math.max(...depths);
  return { count, jobsSeconds, completeSeconds, duplicates, requests: total(byMethod), byMethod, deepestQueue };
}

/** Very many DPOJobs whose pods run, every trainer being asked. */
export interface Many {
  count: number;
  runningSeconds: number;
  /** MiB: once all run, and the most meanwhile. */
  memory: number;
  peakMemory: number;
  /** Per second, over half a minute in which nothing changes but progress. */
  answers: number;
  statusWrites: number;
  /** Of reconciles meanwhile: at most so many seconds (a bound of the histogram). */
  reconcileP50: number;
  reconcileP99: number;
  queueDepth: number;
  /** Of /metrics, with every DPOJob's gauges. */
  scrape: { seconds: number; megabytes: number };
}

const watched = 30;

export async function measureMany(place: ScalePlace, { operator, memory }: Measured, count: number): Promise<Many> {
  const { farm } = place;
  const answeredBefore = farm.answered;
  let peakMemory = 0;
  const stop = every(0.5, () => void (peakMemory = Math.max(peakMemory, memory.used())));
  try {
    const begun = performance.now();
    await place.each(namesOf('many', count), (name) => place.create(name));
    await place.until('all Running', () => place.inState('Running', 'many') === count);
    const runningSeconds = (performance.now() - begun) / 1000;
    await place.until('all asked', () => farm.answered - answeredBefore >= 2 * count);
    const [before, answered] = [await operator.metrics(), farm.answered];
    await sleep(watched * 1000);
    const [rate, used] = [(farm.answered - answered) / watched, memory.used()];
    const asked = performance.now();
    const after = await operator.metrics();
    const scrape = { seconds: (performance.now() - asked) / 1000, megabytes: Buffer.byteLength(after) / 1e6 };
    return {
      count,
      runningSeconds,
      memory: used,
      peakMemory: Math.max(peakMemory, used),
      answers: rate,
      statusWrites: (growth(before, after, names.requests, 'method')['PATCH'] ?? 0) / watched,
      reconcileP50: bucketOf(before, after, names.reconcileTime, 0.5),
      reconcileP99: bucketOf(before, after, names.reconcileTime, 0.99),
      queueDepth: samplesOf(after, names.queueDepth)[0]?.value ?? NaN,
      scrape,
    };
  } finally {
    await stop();
  }
}

/** The leader is killed while another stands by; DPOJobs are created while nobody leads. */
export interface Failover {
  seconds: number;
  /** DPOJobs for which a Job was made twice. */
  duplicates: number;
  /** DPOJobs that were created meanwhile, and how many of them got no Job. */
  between: number;
  missing: number;
}

export async function measureFailover(
  place: ScalePlace,
  leader: Measured,
  standby: Measured,
  between: number,
): Promise<Failover> {
  await place.until('the standby', () => standby.operator.ready());
  await leader.operator.stop('SIGKILL');
  const created = namesOf('between', between);
  const creating = place.each(created, (name) => place.create(name));
  const leads = (): boolean => standby.operator.log.some(({ message }) => message === 'leading');
  const seconds = await place.until('the standby leads', leads, 120);
  await creating;
  // Long enough for it to look at every DPOJob.
  await sleep(20_000);
  const duplicates = [...place.made.values()].filter((count) => count !== 1).length;
  return { seconds, duplicates, between, missing: created.filter((name) => !place.made.has(name)).length };
}

/** DPOJobs that come and go. */
export interface Churn {
  minutes: number;
  /** That were made, ended and were deleted. */
  lives: number;
  /** MiB at the end of each minute. */
  memory: number[];
  /** MiB per hour, after the first quarter. */
  growth: number;
}

const alive = 100;

export async function measureChurn(place: ScalePlace, { memory }: Measured, minutes: number): Promise<Churn> {
  const [begun, used]: [number, number[]] = [performance.now(), []];
  let lives = 0;
  const over = (): boolean => performance.now() - begun > minutes * 60_000;
  const stop = every(60, () => void used.push(memory.used()));
  const live = async (worker: number): Promise<void> => {
    while (!over()) {
      const name = `churn-${worker}-${lives++}`;
      await place.create(name);
      const complete = (): boolean => place.dpojobs.get('default', name)?.status?.state === 'Complete';
      await place.until(name, complete).catch((cause: unknown) => {
        throw new Error(`a life stands still: ${place.tell(name)}`, { cause });
      });
      await place.remove(name);
      place.made.delete(name);
    }
  };
  await Promise.all(Array.from({ length: alive }, (_, worker) => live(worker)));
  await stop();
  const points = used.map((value, minute) => [minute / 60, value] as const);
  return { minutes, lives, memory: used, growth: slope(points.slice(Math.floor(points.length / 4))) };
}
