import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import type { DPOJob } from '../../crds/dpojob.ts';
import { startKwok } from '../cluster/kwok.ts';
import type { OperatorProcess } from './operator-process.ts';
import { Workplace } from './workplace.ts';

/** Many jobs at once, on nodes that kwok plays, which have fewer GPUs than the jobs ask for. */
jest.setTimeout(300_000);
const count = 100;
let place: Workplace;
let operator: OperatorProcess;
let stopKwok = (): void => {};

interface Named {
  metadata: { name: string; ownerReferences?: { name: string }[] };
}

const create = (items: object[]): string =>
  place.kubectl.run(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items });

beforeAll(async () => {
  place = await Workplace.open();
  stopKwok = await startKwok(place.plane, { count: 4, room: { 'nvidia.com/gpu': '8' } });
  place.claims('models', 'data');
  operator = await place.start('one');
});
afterAll(async () => {
  stopKwok();
  await place?.close();
});

test(`${count} jobs applied at once get one Job and one pod each, and all end Complete`, async () => {
  const minimal = parse(readFileSync('crds/examples/minimal.yaml', 'utf8')) as DPOJob;
  const names = Array.from({ length: count }, (_, i) => `many-${String(i).padStart(3, '0')}`);
  const output = (name: string) => ({ source: `pvc://models/${name}` });
  create(names.map((name) => ({ ...minimal, metadata: { name }, spec: { ...minimal.spec, output: output(name) } })));

  const states = (): string[] =>
    (place.kubectl.get<{ items: DPOJob[] }>('dpojobs')?.items ?? []).map(({ status }) => status?.state ?? 'none');
  const deadline = Date.now() + 240_000;
  while (states().some((state) => state !== 'Complete')) {
    if (Date.now() > deadline) throw new Error(`${states().join(' ')}\n${JSON.stringify(operator.log.slice(-5))}`);
    await sleep(500);
  }

  const owners = (kind: string): string[] =>
    (place.kubectl.get<{ items: Named[] }>(kind)?.items ?? [])
      .map(({ metadata }) => metadata.ownerReferences?.[0]?.name ?? 'nobody')
      .toSorted((a, b) => a.localeCompare(b));
  expect(owners('jobs')).toEqual(names);
  expect(owners('pods')).toEqual(names.map((name) => `${name}-1`));
});
