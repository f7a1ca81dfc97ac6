import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fileDigest } from '../../trainer-image/checkpoint/store.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, tinyJob, tinyRun } from '../trainer-image/in-process.ts';
import type { HubServer } from '../trainer-image/sources/hub-repositories.ts';
import { startHub } from '../trainer-image/sources/hub-server.ts';

const fetchedJob = tinyJob
  .replace('pvc://models/tiny', 'hf://org/tiny')
  .replace('pvc://data/pairs.jsonl', 'hf://datasets/org/pairs');
const exported = (folder: string): string => fileDigest(join(folder, 'models', 'out', 'model.safetensors'));

const own = prepareTiny();
let hub: HubServer;
let before: string | undefined;
beforeAll(async () => {
  const files = (...path: string[]): Record<string, Buffer> => {
    const at = join(own.folder, ...path);
    return Object.fromEntries(readdirSync(at).map((name) => [name, readFileSync(join(at, name))]));
  };
  hub = await startHub({
    'models/org/tiny': { commit: '1'.repeat(40), files: files('models', 'tiny') },
    'datasets/org/pairs': { commit: '2'.repeat(40), files: files('data') },
  });
  before = process.env['HF_ENDPOINT'];
  process.env['HF_ENDPOINT'] = hub.endpoint;
  await train(own.run, 'test', listen());
}, 60_000);
afterAll(() => {
  hub.stop();
  if (before === undefined) delete process.env['HF_ENDPOINT'];
  else process.env['HF_ENDPOINT'] = before;
});

test('a run on a model and data of the Hub ends with the same weights as one on claims', async () => {
  const { folder } = prepareTiny();
  for (const inputs of [['models', 'tiny'], ['data']]) rmSync(join(folder, ...inputs), { recursive: true });
  const heard = listen();
  await train(tinyRun(folder, fetchedJob), 'test', heard);
  expect(exported(folder)).toBe(exported(own.folder));
  expect(heard.infos.join('\n')).toMatch(/spec\.model: fetching model org\/tiny at commit 1111111/);
}, 60_000);

test('one that is stopped while it fetches, and started again, ends with them too', async () => {
  const { folder } = prepareTiny();
  const run = tinyRun(folder, fetchedJob);
  await expect(train(run, 'first', listen(2))).rejects.toThrow(Stopped);
  await train(run, 'second', listen());
  expect(exported(folder)).toBe(exported(own.folder));
}, 60_000);

test('one whose Hub knows no such model ends with the field and what to set', async () => {
  const { folder } = prepareTiny();
  const run = tinyRun(folder, fetchedJob.replace('org/tiny', 'org/none'));
  await expect(train(run, 'test', listen())).rejects.toThrow(
    /^spec\.model: http.*answered 401.*set spec\.model\.secretRef/,
  );
});
