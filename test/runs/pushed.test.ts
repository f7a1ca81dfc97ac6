import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { sweepBetas } from '../../trainer-image/sweep.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, tinyJob } from '../trainer-image/in-process.ts';
import { newWrites, type HubServer } from '../trainer-image/sources/hub-repositories.ts';
import { startHub } from '../trainer-image/sources/hub-server.ts';

/** Whole runs whose output is pushed; what a push does in detail: test/trainer-image/push, test/integration/s3-push.test.ts. */
const pushed = tinyJob.replace('pvc://models/out', 'hf://org/tuned@trained');
const key = 'models/org/tuned@trained';
const ofModel = ['dpo-job.json', 'config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

let hub: HubServer;
let weights: Buffer;
const before = { HF_ENDPOINT: process.env['HF_ENDPOINT'], OUTPUT_HF_TOKEN: process.env['OUTPUT_HF_TOKEN'] };
beforeAll(async () => {
  hub = await startHub({});
  Object.assign(process.env, { HF_ENDPOINT: hub.endpoint, OUTPUT_HF_TOKEN: hub.writes.token });
  const { folder, run } = prepareTiny();
  await train(run, 'test', listen());
  weights = readFileSync(join(folder, 'models', 'out', 'model.safetensors'));
}, 60_000);
beforeEach(() => {
  Object.assign(hub, { repositories: {}, requests: [], writes: newWrites() });
});
afterAll(() => {
  hub.stop();
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});
const there = (at = key): HubServer['repositories'][string]['files'] => hub.repositories[at]?.files ?? {};

test('a run that pushes ends with the weights of one on a claim, the report beside them, and its own files on its own claim', async () => {
  const { folder, run } = prepareTiny(pushed);
  const heard = listen();
  await train(run, 'test', heard);
  expect(Object.keys(there())).toEqual(expect.arrayContaining([...ofModel, 'report.html']));
  expect(weights.equals(there()['model.safetensors'] as Buffer)).toBe(true);
  expect(run.paths.output).toBe(join(folder, 'tiny-work', 'output'));
  expect(run.paths.checkpoints).toBe(join(folder, 'tiny-work', '.dpo', run.job.uid));
  const done = heard.beats.at(-1);
  expect([done?.stage, done?.output?.source]).toEqual(['Done', 'hf://org/tuned@trained']);
  expect(heard.beats.find(({ report }) => report !== undefined)?.report).toBe('hf://org/tuned@trained/report.html');
}, 60_000);

test('one that may not push ends before it fetches or trains anything', async () => {
  const { run } = prepareTiny(pushed.replace('org/tuned', 'others/tuned'));
  const heard = listen();
  await expect(train(run, 'test', heard)).rejects.toThrow(/^spec\.output: /);
  expect(heard.beats.map(({ stage }) => stage).filter(Boolean)).toEqual([]);
});

test('one whose push was cut trains no step again, and pushes what is missing', async () => {
  const { run } = prepareTiny(pushed);
  hub.writes.failures = [403];
  await expect(train(run, 'first', listen())).rejects.toThrow(/answered 403/);
  expect(hub.writes.commits).toEqual([]);
  const heard = listen();
  await train(run, 'second', heard);
  expect(heard.beats.flatMap(({ stage }) => (stage === 'SFT' || stage === 'Training' ? [stage] : []))).toEqual([]);
  expect(weights.equals(there()['model.safetensors'] as Buffer)).toBe(true);
}, 60_000);

test('one that is stopped while it pushes commits nothing, and its next pod ends with the same weights', async () => {
  const { run } = prepareTiny(pushed);
  const whole = listen();
  await train(prepareTiny(pushed).run, 'whole', whole);
  const push = whole.beats.findIndex(({ stage, stageStep }) => stage === 'Exporting' && stageStep !== undefined);
  Object.assign(hub, { repositories: {}, writes: newWrites() });
  await expect(train(run, 'first', listen(push + 1))).rejects.toThrow(Stopped);
  expect(hub.writes.commits).toEqual([]);
  await train(run, 'second', listen());
  expect(weights.equals(there()['model.safetensors'] as Buffer)).toBe(true);
}, 60_000);

test('one that is finished, started again, pushes no weights again', async () => {
  const { run } = prepareTiny(pushed);
  await train(run, 'first', listen());
  const { length } = hub.writes.sent;
  await train(run, 'again', listen());
  expect(hub.writes.sent).toHaveLength(length);
  expect(hub.writes.commits.at(-1)?.paths).not.toContain('model.safetensors');
}, 60_000);

test('a sweep that keeps its models pushes each under its own name', async () => {
  const { run } = prepareTiny(pushed.replace('@trained', ''));
  await sweepBetas(run, 'test', listen(), { betas: [0.05, 0.5], keep: true });
  const [one, other] = [0.05, 0.5].map((beta) => there(`models/org/tuned-beta-${beta}`)['model.safetensors'] as Buffer);
  expect(one?.length).toBe(weights.length);
  expect(one?.equals(other as Buffer)).toBe(false);
  expect(hub.repositories['models/org/tuned']).toBeUndefined();
}, 60_000);
