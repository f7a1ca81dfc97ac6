import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { columns } from '../report.ts';
import { thisMachine } from '../results.ts';
import { ScalePlace } from './place.ts';
import { scaleRows, scaleText, type ScaleResult } from './page.ts';
import { measureBurst, measureChurn, measureFailover, measureLatency, measureMany, type Churn } from './scenarios.ts';

/** Committed: what docs/scale-operator.md shows. */
export const committed = join(import.meta.dirname, 'result.json');
export const scaleFile = 'docs/scale-operator.md';

/** How many DPOJobs each scenario has. */
export interface Sizes {
  one: number;
  burst: number;
  many: number;
  /** Created while nobody leads. */
  between: number;
}

async function withPlace<T>(use: (place: ScalePlace) => Promise<T>): Promise<T> {
  const place = await ScalePlace.open();
  try {
    return await use(place);
  } finally {
    await place.close();
  }
}

/** Every scenario on one control plane, one after the other. */
export const measureScale = (sizes: Sizes): Promise<ScaleResult> =>
  withPlace(async (place) => {
    const leader = await place.operator('leader');
    await place.until('a leader', () => leader.operator.leads());
    await place.nodes(1);
    console.log(`${sizes.one} DPOJobs, one at a time`);
    const latency = await measureLatency(place, sizes.one);
    console.log(`${sizes.burst} DPOJobs at once`);
    await place.nodes(20);
    const burst = await measureBurst(place, leader, sizes.burst);
    console.log(`${sizes.many} DPOJobs that run`);
    const standby = await place.operator('standby');
    await place.nodes(100_000);
    const many = await measureMany(place, leader, sizes.many);
    console.log('the leader is killed');
    const failover = await measureFailover(place, leader, standby, sizes.between);
    return {
      time: new Date().toISOString(),
      machine: thisMachine(),
      load: loadavg()[0] as number,
      latency,
      burst,
      many,
      failover,
    };
  });

/** `npm run bench -- --scale`. */
export async function benchScale(): Promise<void> {
  const result = await measureScale({ one: 100, burst: 1000, many: 5000, between: 100 });
  console.log(columns(scaleRows(result)));
  const before = JSON.parse(readFileSync(committed, { encoding: 'utf8', flag: 'a+' }) || '{}') as Partial<ScaleResult>;
  keep({ ...(before.churn && { churn: before.churn }), ...result });
}

function keep(result: ScaleResult): void {
  writeFileSync(committed, `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(scaleFile, scaleText(result));
  console.log(`${scaleFile} is written`);
}

/** `npm run bench -- --scale --churn MINUTES`. */
export async function benchChurn(minutes: number): Promise<void> {
  const before = JSON.parse(readFileSync(committed, 'utf8')) as ScaleResult;
  const churn = await withPlace(async (place): Promise<Churn> => {
    const leader = await place.operator('leader');
    await place.until('a leader', () => leader.operator.leads());
    await place.nodes(5);
    return measureChurn(place, leader, minutes);
  });
  console.log(
    `${churn.lives} DPOJobs made, run and deleted in ${minutes} minutes; MiB by minute: ${churn.memory.map((used) => used.toFixed(0)).join(' ')}; growth ${churn.growth.toFixed(1)} MiB an hour`,
  );
  keep({ ...before, churn: { ...churn, machine: thisMachine() } });
}
