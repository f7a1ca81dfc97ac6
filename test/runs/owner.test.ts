import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { checkpointFolder } from '../../crds/run-config.ts';
import type { Run } from '../../trainer-image/config.ts';
import { recordOf } from '../../trainer-image/export/owner.ts';
import type { ProgressPart } from '../../trainer-image/stages/context.ts';
import { sweepBetas } from '../../trainer-image/sweep.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, tinyJob, tinyRun, writeTinyModel } from '../trainer-image/in-process.ts';

const short = tinyJob.replace('  sft: { batchSize: 6, learningRate: 1e-2 }\n', '');
const weights = (folder: string): string =>
  readFileSync(join(folder, 'models', 'out', 'model.safetensors')).toString('base64');

test('another job is refused in an output before it computes', async () => {
  const { folder, run } = prepareTiny(short);
  await train(run, 'test', listen());
  const exported = weights(folder);
  const other = tinyRun(folder, short.replace('{ name: tiny }', '{ name: other }'));
  const heard = listen();
  await expect(train(other, 'test', heard)).rejects.toMatchObject({
    reason: 'InvalidConfiguration',
    message: expect.stringMatching(/the model of the DPOJob default\/tiny .*name another path/),
  });
  expect(heard.beats).toEqual([]);
  expect(weights(folder)).toBe(exported);
}, 30_000);

test('a job goes on in its own output; one that was deleted and made anew, with another UID, replaces what it made', async () => {
  const { folder, run } = prepareTiny(short);
  await train(run, 'test', listen());
  await train(tinyRun(folder, short), 'test', listen());
  const uid = '6f1e3f5c-3d0b-4a53-8f0a-0d7b3f6d3c11';
  const checkpoints = join(folder, 'models', checkpointFolder(uid));
  const anew: Run = { job: { ...run.job, uid }, paths: { ...run.paths, checkpoints } };
  await train(anew, 'test', listen());
  const record = readFileSync(join(folder, 'models', 'out', 'dpo-job.json'), 'utf8');
  expect(JSON.parse(record)).toMatchObject({ uid });
}, 30_000);

test('a trainer that a deleted job has left somewhere gives way to a later job of its name, in the middle of its export', async () => {
  const { folder, run } = prepareTiny(short);
  const output = join(folder, 'models', 'out');
  const job = { ...run.job, created: '2026-01-01T10:00:00Z' };
  const later = recordOf({ ...job, uid: 'uid-2', created: '2026-01-01T10:05:00Z' });
  const heard = listen();
  const beat = (part: ProgressPart = {}): void => {
    heard.beat(part);
    if (part.stage !== 'Exporting' || readdirSync(folder).includes('taken')) return;
    writeFileSync(join(folder, 'taken'), '');
    writeFileSync(join(output, 'dpo-job.json'), later);
    writeFileSync(join(output, 'config.json'), 'theirs');
  };
  await expect(train({ ...run, job }, 'test', { ...heard, beat })).rejects.toMatchObject({
    reason: 'InvalidConfiguration',
    message: expect.stringMatching(/of the later DPOJob default\/tiny \(uid uid-2\)/),
  });
  expect(readFileSync(join(output, 'config.json'), 'utf8')).toBe('theirs');
  // The report of the evaluation came before, the weights would have come after.
  expect(readdirSync(output).toSorted()).toEqual(['config.json', 'dpo-job.json', 'report.html']);
}, 30_000);

test('a job that is complete exports its result to another output when that is all that changed, and says so', async () => {
  const { folder, run } = prepareTiny(short);
  expect(await train(run, 'test', listen())).toBe('training, evaluation and export are done');
  const heard = listen();
  const told = await train(tinyRun(folder, short.replace('models/out', 'models/second')), 'test', heard);
  expect(told).toBe('training was complete already, at step 2: its result is exported to pvc://models/second');
  expect(heard.infos).toContain(told);
  expect(heard.beats.at(-1)).toMatchObject({ stage: 'Done', output: { source: 'pvc://models/second' } });
  expect(heard.beats.map(({ stage }) => stage)).not.toContain('Training');
  const second = readFileSync(join(folder, 'models', 'second', 'model.safetensors')).toString('base64');
  expect(second).toBe(weights(folder));
}, 30_000);

test('a model that no job has made is not written over, nor by a beta of a sweep', async () => {
  const { folder, run } = prepareTiny(short);
  writeTinyModel(join(folder, 'models', 'out'), 5);
  writeTinyModel(join(folder, 'models', 'out-beta-0.5'), 5);
  const before = weights(folder);
  await expect(train(run, 'test', listen())).rejects.toThrow(/no DPOJob has made it/);
  const sweep = (keep: boolean) => sweepBetas(run, 'test', listen(), { betas: [0.5], keep });
  await expect(sweep(true)).rejects.toThrow(/out-beta-0.5 holds .* no DPOJob has made it/);
  expect((await sweep(false)).results).toHaveLength(1);
  expect(weights(folder)).toBe(before);
  expect(readdirSync(join(folder, 'models', 'out'))).not.toContain('dpo-job.json');
}, 30_000);
