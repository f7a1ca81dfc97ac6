import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { recordOf } from '../../../trainer-image/export/owner.ts';
import { checkPush } from '../../../trainer-image/push/push.ts';
import { fetchSources } from '../../../trainer-image/sources/fetch.ts';
import { Stopped } from '../../../trainer-image/stages/context.ts';
import { listen } from '../heard.ts';
import { newWrites, type HubServer } from '../sources/hub-repositories.ts';
import { startHub } from '../sources/hub-server.ts';
import { exportedModel, pushAll, pushingJob, removeVolumes, writeFolder } from './pushing.ts';

/** The server's honesty: huggingface_hub pushes to it and reads from it in test/e2e/pushed.test.ts. */
let hub: HubServer;
beforeAll(async () => {
  hub = await startHub({});
});
afterAll(() => {
  hub.stop();
  removeVolumes();
});
beforeEach(() => {
  Object.assign(hub, { repositories: {}, requests: [], leaked: [], writes: newWrites() });
});
const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  HF_ENDPOINT: hub.endpoint,
  OUTPUT_HF_TOKEN: hub.writes.token,
  ...more,
});
const main = { source: 'hf://org/tuned' };
const filesAt = (key: string): Record<string, string> =>
  Object.fromEntries(Object.entries(hub.repositories[key]?.files ?? {}).map(([name, text]) => [name, String(text)]));
const texts = Object.fromEntries(Object.entries(exportedModel).map(([name, text]) => [name, String(text)]));

describe('a model that is pushed to the Hub', () => {
  test('makes the repository and is there whole in one commit, large files by LFS in parts', async () => {
    const heard = await pushAll(pushingJob(main), { env: env() });
    expect(filesAt('models/org/tuned')).toMatchObject(texts);
    expect(hub.writes.commits).toMatchObject([{ repository: 'models/org/tuned' }]);
    expect(hub.writes.sent.map((sent) => sent.split(' ')[1])).toEqual(['1', '2', '3']);
    expect(heard.infos.at(-1)).toMatch(/^pushed to hf:\/\/org\/tuned: commit [0-9a-f]{7}$/);
    // The addresses of parts let in whoever has them: the token is for the Hub alone.
    expect(hub.leaked).toEqual([]);
  });

  test('goes in one piece where the Hub gives no parts', async () => {
    hub.writes.partSize = 1e6;
    await pushAll(pushingJob(main), { env: env() });
    expect(hub.writes.sent.map((sent) => sent.split(' ')[1])).toEqual(['whole']);
    expect(filesAt('models/org/tuned')).toMatchObject(texts);
  });

  test('tells its progress part by part', async () => {
    const heard = await pushAll(
      pushingJob(main, { files: { ...exportedModel, 'model.safetensors': Buffer.alloc(4 << 20) } }),
      {
        env: env(),
      },
    );
    const told = heard.beats.flatMap(({ stage, stageStep, stageTotal }) =>
      stage === 'Exporting' ? [[stageStep, stageTotal]] : [],
    );
    expect(told.length).toBeGreaterThan(40);
    expect(told.at(-1)).toEqual([4, 4]);
  });

  test.each([
    [undefined, undefined],
    [true, 'private'],
    [false, 'public'],
  ])('in a repository whose output.private is %s, the Hub is asked for one that is %s', async (hidden, asked) => {
    await pushAll(pushingJob({ ...main, ...(hidden === undefined ? {} : { private: hidden }) }), { env: env() });
    expect(hub.writes.visibility).toEqual({ 'models/org/tuned': asked });
  });

  test('on a branch makes the branch and leaves main as it was', async () => {
    await pushAll(pushingJob({ source: 'hf://org/tuned@trained' }), { env: env() });
    expect(filesAt('models/org/tuned@trained')).toMatchObject(texts);
    expect(Object.keys(filesAt('models/org/tuned'))).toEqual(['.gitattributes']);
  });

  test('replaces the earlier one of the job: files of another format go, what is no model stays', async () => {
    const adapter = { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'old', 'tokenizer.json': '{}' };
    await pushAll(pushingJob(main, { files: adapter }), { env: env() });
    Object.assign(hub.repositories['models/org/tuned']?.files ?? {}, { 'README.md': 'mine' });
    await pushAll(pushingJob(main), { env: env() });
    const own = ['.gitattributes', 'README.md', 'dpo-job.json'];
    expect(Object.keys(filesAt('models/org/tuned')).sort()).toEqual([...own, ...Object.keys(texts)].sort());
    expect(filesAt('models/org/tuned')).toMatchObject({ ...texts, 'README.md': 'mine' });
  });

  test('can be read by a job from there', async () => {
    const source = 'hf://org/tuned@trained';
    await pushAll(pushingJob({ source }), { env: env() });
    const reader = pushingJob({ source: 'pvc://o/o' }, { rest: { model: { source } } });
    const { paths } = await fetchSources(reader, listen(), env());
    expect(readFileSync(join(paths.model, 'model.safetensors'), 'utf8')).toBe(texts['model.safetensors']);
  });
});

describe('a push to the Hub beside which another commits', () => {
  const add = (files: Record<string, string>): void => {
    const repository = hub.repositories['models/org/tuned'] as HubServer['repositories'][string];
    Object.assign(repository, { commit: 'f'.repeat(40), files: { ...repository.files, ...files } });
  };

  test('what is no model comes after it and leaves it there, and tells of it', async () => {
    hub.writes.meanwhile = () => add({ 'README.md': 'mine' });
    const heard = await pushAll(pushingJob(main), { env: env() });
    expect(filesAt('models/org/tuned')).toMatchObject({ ...texts, 'README.md': 'mine' });
    expect([hub.writes.commits.length, hub.writes.sent.length]).toEqual([1, 3]);
    expect(heard.infos).toContainEqual(expect.stringMatching(/another commit came first/));
  });

  test('the model of another job is refused, and names that job', async () => {
    const record = recordOf({ namespace: 'team', name: 'other', uid: 'other' });
    hub.writes.meanwhile = () => add({ 'config.json': 'theirs', 'dpo-job.json': record });
    const failing = pushAll(pushingJob(main), { env: env() });
    await expect(failing).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
    await expect(failing).rejects.toThrow(/holds the model of the DPOJob team\/other/);
    expect([hub.writes.commits, filesAt('models/org/tuned')['config.json']]).toEqual([[], 'theirs']);
  });

  test('nothing, and whose answer was lost, finds its own commit', async () => {
    hub.writes.losesAnswer = true;
    const heard = await pushAll(pushingJob(main), { env: env() });
    expect(hub.writes.commits).toHaveLength(1);
    expect(heard.infos.at(-1)).toMatch(/all of it was there/);
  });
});

describe('a push to the Hub whose token', () => {
  const refused = async (token: string): Promise<unknown> =>
    pushAll(pushingJob(main), { env: { HF_ENDPOINT: hub.endpoint, OUTPUT_HF_TOKEN: token } });

  test('was never good is refused for good', async () => {
    await expect(refused('hf_other')).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
  });

  test('ends during the run is for the next pods, until they have a new one', async () => {
    const run = pushingJob(main);
    hub.writes.meanwhile = () => (hub.writes.token = 'hf_new');
    const old = env();
    for (const begin of [() => pushAll(run, { env: old }), () => checkPush(run, listen(), { env: old })]) {
      const failing = begin();
      await expect(failing).rejects.toMatchObject({ reason: 'SourceUnavailable' });
      await expect(failing).rejects.toThrow(
        /answered 401 .*it let the job in before: .*renew the Secret of spec\.output\.secretRef \(HF_TOKEN/,
      );
    }
    await pushAll(run, { env: env() });
    expect(filesAt('models/org/tuned')).toMatchObject(texts);
  });
});

describe('a large file that the Hub takes in parts', () => {
  test.each<[string, Partial<HubServer['writes']>, RegExp]>([
    ['with a part too few', { told: { '00003': undefined } }, /it asks for 2 parts of 100000 bytes/],
    ['with a part too many', { told: { '00004': 'http://x' } }, /it asks for 4 parts of 100000 bytes/],
    ['whose parts have no size', { told: { chunk_size: 'none' } }, /it asks for 3 parts of NaN bytes/],
    ['whose parts have no ETag', { etag: '' }, /the storage told no ETag of part 1/],
  ])('is refused %s, as by huggingface_hub', async (_, writes, message) => {
    Object.assign(hub.writes, writes);
    const failing = pushAll(pushingJob(main), { env: env() });
    await expect(failing).rejects.toMatchObject({ reason: 'SourceUnavailable' });
    await expect(failing).rejects.toThrow(message);
    expect(hub.writes.commits).toEqual([]);
  });
});

describe('a push to the Hub that was cut', () => {
  test('goes on where the wire broke or the server had trouble', async () => {
    hub.writes.failures = [0, 503, 500];
    await pushAll(pushingJob(main), { env: env() });
    expect(filesAt('models/org/tuned')).toMatchObject(texts);
  });

  test('by a stop commits nothing; the next sends what is not there yet, and one that is whole sends nothing', async () => {
    const files = { ...exportedModel, 'adapter_model.safetensors': Buffer.alloc(120_000, 'second') };
    const run = pushingJob(main, { files });
    // The stop comes with the first part of the second large file.
    const beats = (await pushAll(run, { env: env() })).beats.findIndex(({ stageStep }) => stageStep !== undefined);
    Object.assign(hub, { repositories: {}, writes: newWrites() });
    await expect(pushAll(run, { env: env(), heard: listen(beats + 4) })).rejects.toThrow(Stopped);
    expect([hub.writes.commits, hub.writes.sent.length]).toEqual([[], 4]);
    await pushAll(run, { env: env() });
    expect(hub.writes.sent).toHaveLength(6);
    expect(hub.writes.commits).toHaveLength(1);
    const heard = await pushAll(run, { env: env() });
    expect([hub.writes.sent.length, hub.writes.commits.length]).toEqual([6, 1]);
    expect(heard.infos.at(-1)).toMatch(/all of it was there/);
  });

  test('with only the report changed sends the report alone', async () => {
    const run = pushingJob(main);
    await pushAll(run, { env: env() });
    writeFolder(run, { ...exportedModel, 'report.html': 'later' });
    await pushAll(run, { env: env() });
    expect(hub.writes.commits.at(-1)?.paths).toEqual(['report.html']);
  });

  test('by a newer trainer, which has taken over, commits nothing', async () => {
    const check = (): never => {
      throw new Error('taken over');
    };
    const fence = { generation: 1, check };
    await expect(pushAll(pushingJob(main), { env: env(), fence })).rejects.toThrow('taken over');
    expect(hub.writes.commits).toEqual([]);
  });
});

describe('before training begins it is told', () => {
  const check = (source: string, more: NodeJS.ProcessEnv): Promise<void> =>
    checkPush(pushingJob({ source }), listen(), { env: env(more), pause: () => Promise.resolve() });
  test.each<[string, string, NodeJS.ProcessEnv, RegExp]>([
    [
      'without a token',
      'hf://org/tuned',
      { OUTPUT_HF_TOKEN: '' },
      /^spec\.output: hf:\/\/org\/tuned cannot be written without a token: set spec\.output\.secretRef to a Secret with HF_TOKEN/,
    ],
    [
      'with a wrong token',
      'hf://org/tuned',
      { OUTPUT_HF_TOKEN: 'hf_other' },
      /^spec\.output: .*\/api\/repos\/create answered 401 .*\(Invalid username or password\.\): set spec\.output\.secretRef/,
    ],
    [
      'with a token of two lines, which is told nowhere',
      'hf://org/tuned',
      { OUTPUT_HF_TOKEN: 'hf_SECRET\nhf_other' },
      /^spec\.output\.secretRef: its key HF_TOKEN holds a line break(?!.*SECRET)/,
    ],
    [
      'where the token may make no repository and there is none',
      'hf://others/tuned',
      {},
      /^spec\.output: .*answered 404.*or only for whoever may write it/,
    ],
  ])('%s', async (_, source, more, message) => {
    await expect(check(source, more)).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
    await expect(check(source, more)).rejects.toThrow(message);
  });

  test('where another has made a model, and that stays', async () => {
    hub.repositories['models/org/tuned'] = { commit: '1'.repeat(40), files: { 'config.json': 'old' } };
    await expect(check('hf://org/tuned', {})).rejects.toThrow(
      /hf:\/\/org\/tuned holds config\.json and no dpo-job\.json, so no DPOJob has made it: name another path/,
    );
    hub.repositories = {};
    await pushAll(pushingJob(main, { name: 'first' }), { env: env() });
    await expect(check('hf://org/tuned', {})).rejects.toThrow(/holds the model of the DPOJob team\/first/);
    expect(hub.writes.commits).toHaveLength(1);
  });

  test('nothing where the repository is there, and its members may make none themselves', async () => {
    hub.repositories['models/others/tuned'] = { commit: '1'.repeat(40), files: {} };
    await expect(check('hf://others/tuned', {})).resolves.toBeUndefined();
  });

  test.each([
    ['hf://org/tuned', 'hf://org/tuned@main'],
    ['hf://org/tuned@a', 'hf://org/tuned@a'],
    ['s3://bucket/m/', 's3://bucket/m'],
  ])('that the model %s would be written over by %s', (model, source) => {
    const rest = { model: { source: model } };
    expect(() => pushingJob({ source }, { rest })).toThrow(
      'spec.output.source must not be the folder of spec.model.source',
    );
  });
});
