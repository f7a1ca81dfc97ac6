import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { specSchema, type DPOJobSpecInput } from '../../../crds/dpojob.ts';
import { resolveRun, type Run } from '../../../trainer-image/config.ts';
import { contentDigest } from '../../../trainer-image/sources/digest.ts';
import { fetchSources } from '../../../trainer-image/sources/fetch.ts';
import type { Reporter } from '../../../trainer-image/stages/context.ts';
import type { HubServer, Repository } from './hub-repositories.ts';
import { startHub } from './hub-server.ts';

const [first, second] = ['1', '2'].map((digit) => digit.repeat(40)) as [string, string];
const weights = Buffer.alloc(300_000, 'weights');
const model = (commit = first): Repository => ({
  commit,
  files: {
    'config.json': `{"commit":"${commit[0]}"}`,
    'tokenizer.json': '{}',
    'tokenizer_config.json': '{}',
    'model.safetensors': weights,
    'pytorch_model.bin': 'never fetched',
    'onnx/model.safetensors': 'never fetched',
    '.gitattributes': '',
  },
});
const data: Repository = {
  commit: first,
  files: {
    'data/train_prefs-00000-of-00002.parquet': 'PAR1 a',
    'data/train_prefs-00001-of-00002.parquet': 'PAR1 b',
    'data/test_prefs-00000-of-00001.parquet': 'PAR1 c',
    'extra/pairs.jsonl': '{}',
  },
};

let hub: HubServer;
let volumes: string;
beforeAll(async () => {
  hub = await startHub({});
});
afterAll(() => hub.stop());
beforeEach(() => {
  volumes = mkdtempSync(join(tmpdir(), 'fetch-'));
  hub.repositories = { 'models/org/tiny': model(), 'datasets/org/prefs': data };
  hub.requests = [];
});

const messages: string[] = [];
let beats = 0;
const report: Reporter = {
  beat: () => void (beats += 1),
  heed: () => {},
  observe: () => {},
  warn: () => {},
  info: (message) => void messages.push(message),
};

function runOf(changes: Partial<DPOJobSpecInput> = {}, uid = 'job-uid'): Run {
  const spec = specSchema.parse({
    model: { source: 'hf://org/tiny' },
    dataset: { source: 'hf://datasets/org/prefs', split: 'train_prefs' },
    output: { source: 'pvc://models/out' },
    ...changes,
  });
  return resolveRun({ namespace: 'n', name: 'j', uid, attempt: 1, spec }, volumes);
}
const fetchAll = (run: Run, env: NodeJS.ProcessEnv = {}): Promise<Run> =>
  fetchSources(run, report, { HF_ENDPOINT: hub.endpoint, ...env }, () => Promise.resolve());

describe('sources of the Hub', () => {
  test('are fetched into the cache of the output: the needed files of the model, the split of the data', async () => {
    const { paths } = await fetchAll(runOf());
    expect(paths.model).toMatch(/models\/\.dpo\/cache\/[0-9a-f]{40}$/);
    expect(readdirSync(paths.model).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(readFileSync(join(paths.model, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readdirSync(join(paths.dataset, 'data')).sort()).toEqual([
      'train_prefs-00000-of-00002.parquet',
      'train_prefs-00001-of-00002.parquet',
    ]);
    expect(messages.join('\n')).toMatch(/spec\.model: fetching model org\/tiny at commit 1111111, 4 files/);
  });

  test('one file of a data set is that file', async () => {
    const { paths } = await fetchAll(runOf({ dataset: { source: 'hf://datasets/org/prefs@main/extra/pairs.jsonl' } }));
    expect(readFileSync(paths.dataset, 'utf8')).toBe('{}');
  });

  test.each([
    ['of the same data set, by its own subset', { source: 'named', evalSource: 'named' }, 'hard test'],
    ['of another one, which has no such subset', { source: 'named', evalSource: 'plain' }, 'plain test'],
    ['of another subset', { source: 'named', evalSource: 'named', evalSubset: 'easy' }, 'easy test'],
    ['of another split', { source: 'named', evalSource: 'named', evalSplit: 'validation' }, 'hard validation'],
  ])('held-out pairs are %s', async (_, { source, evalSource, ...more }, content) => {
    const named = { 'hard/train.jsonl': '', 'hard/test.jsonl': 'hard test', 'easy/test.jsonl': 'easy test' };
    hub.repositories = {
      'models/org/tiny': model(),
      'datasets/org/named': { commit: first, files: { ...named, 'hard/validation.jsonl': 'hard validation' } },
      'datasets/org/plain': { commit: first, files: { 'test.jsonl': 'plain test' } },
    };
    const of = (name: string): string => `hf://datasets/org/${name}`;
    const dataset = { source: of(source), subset: 'hard', evalSource: of(evalSource), ...more };
    const { paths } = await fetchAll(runOf({ dataset }));
    expect(readFileSync(paths.evalDataset as string, 'utf8')).toBe(content);
  });

  test('a split of held-out pairs that is not there is told by the field that names them', async () => {
    const dataset = { source: 'hf://datasets/org/prefs', split: 'train_prefs', evalSource: 'hf://datasets/org/prefs' };
    await expect(fetchAll(runOf({ dataset: { ...dataset, evalSplit: 'none' } }))).rejects.toThrow(
      /^spec\.dataset\.evalSource: no file is of the split none/,
    );
  });

  test.each([
    ['one split, its files in one format', 'data', 'train_prefs', ['train_prefs-00000', 'train_prefs-00001']],
    ['the other split', 'data', 'test_prefs', ['test_prefs-00000']],
    ['the files of a folder that names no split, as train', 'extra', undefined, ['pairs']],
  ])('of a folder of a data set are %s', async (_, path, split, names) => {
    const dataset = { source: `hf://datasets/org/prefs@main/${path}`, ...(split === undefined ? {} : { split }) };
    const { paths } = await fetchAll(runOf({ dataset }));
    const found = names.length === 1 ? [paths.dataset] : readdirSync(join(paths.dataset, path)).sort();
    expect(found.map((file) => file.replace(/^.*\//, '').replace(/-of.*|\.jsonl/, ''))).toEqual(names);
  });

  test('are shared by jobs: the second fetches no file', async () => {
    const one = await fetchAll(runOf());
    hub.requests = [];
    const two = await fetchAll(runOf({}, 'other-job'));
    expect(two.paths.model).toBe(one.paths.model);
    expect(hub.requests.filter((path) => !path.startsWith('/api/'))).toEqual([]);
  });

  test('are what they were when the job began, whatever the branch says later, and need no server by then', async () => {
    const begun = await fetchAll(runOf());
    hub.repositories['models/org/tiny'] = model(second);
    hub.requests = [];
    expect((await fetchAll(runOf())).paths).toEqual(begun.paths);
    expect(hub.requests).toEqual([]);
    const later = await fetchAll(runOf({}, 'a-new-job'));
    expect(readFileSync(join(later.paths.model, 'config.json'), 'utf8')).toBe('{"commit":"2"}');
  });

  test('that lost a file of the cache fetch just this one again, of the same commit', async () => {
    const { paths } = await fetchAll(runOf());
    rmSync(join(paths.model, 'config.json'));
    writeFileSync(join(paths.model, 'tokenizer.json'), 'cut');
    hub.requests = [];
    expect((await fetchAll(runOf())).paths.model).toBe(paths.model);
    expect(hub.requests).toEqual([
      `/api/models/org/tiny/revision/${first}`,
      `/org/tiny/resolve/${first}/config.json`,
      `/org/tiny/resolve/${first}/tokenizer.json`,
    ]);
  });

  test('are whole for two pods that fetch at once over a connection that breaks', async () => {
    hub.breakAfter = 100_000;
    const [one, two] = await Promise.all([fetchAll(runOf()), fetchAll(runOf({}, 'other-job'))]);
    expect(one.paths.model).toBe(two.paths.model);
    expect(readFileSync(join(one.paths.model, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readdirSync(one.paths.model).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });

  test('what a killed fetch left is removed after an hour, what another is writing stays', async () => {
    const { paths } = await fetchAll(runOf());
    const [old, fresh] = ['old.partial', 'fresh.partial'].map((name) => join(paths.model, name)) as [string, string];
    for (const file of [old, fresh]) writeFileSync(file, 'x');
    utimesSync(old, new Date(), new Date(Date.now() - 2 * 3_600_000));
    rmSync(join(paths.model, 'config.json'));
    await fetchAll(runOf());
    expect([existsSync(old), existsSync(fresh)]).toEqual([false, true]);
  });

  test('named anew in a job run by hand are fetched anew', async () => {
    const { paths } = await fetchAll(runOf());
    hub.repositories['models/org/other'] = model(second);
    const other = await fetchAll(runOf({ model: { source: 'hf://org/other' } }));
    expect(other.paths.model).not.toBe(paths.model);
  });

  test('of a mixture are fetched each, with their own splits; its errors name the part', async () => {
    mkdirSync(join(volumes, 'data'));
    writeFileSync(join(volumes, 'data', 'own.jsonl'), '{}');
    const sources = [
      { source: 'pvc://data/own.jsonl', weight: 2 },
      { source: 'hf://datasets/org/prefs', split: 'test_prefs', weight: 0.5 },
    ];
    const { paths } = await fetchAll(runOf({ dataset: { sources } }));
    expect(paths.parts).toMatchObject([{ path: join(volumes, 'data', 'own.jsonl'), weight: 2 }, { weight: 0.5 }]);
    expect(readFileSync(paths.parts?.[1]?.path ?? '', 'utf8')).toBe('PAR1 c');
    hub.repositories['datasets/org/prefs'] = { ...data, token: 't' };
    await expect(fetchAll(runOf({ dataset: { sources } }, 'other'))).rejects.toThrow(
      /^spec\.dataset\.sources\[1\]: .*set spec\.dataset\.secretRef/,
    );
  });

  test('that are private need the token, which is sent to the Hub alone', async () => {
    hub.repositories['models/org/tiny'] = { ...model(), token: 'hf_secret' };
    const refused = fetchAll(runOf());
    await expect(refused).rejects.toThrow(/^spec\.model: http.*answered 401.*set spec\.model\.secretRef .*HF_TOKEN/);
    await expect(refused).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
    await fetchAll(runOf(), { HF_TOKEN: 'hf_secret' });
    expect(hub.leaked).toEqual([]);
  });

  test('are each asked for with the token of their own Secret', async () => {
    hub.repositories = {
      'models/org/tiny': { ...model(), token: 'a' },
      'datasets/org/prefs': { ...data, token: 'b' },
      'datasets/org/sft': { ...data, token: 'c' },
    };
    const sft = { dataset: { source: 'hf://datasets/org/sft@main/extra/pairs.jsonl' } };
    await fetchAll(runOf({ sft }), { MODEL_HF_TOKEN: 'a', DATASET_HF_TOKEN: 'b', SFT_HF_TOKEN: 'c' });
    await expect(fetchAll(runOf({ sft }, 'other'), { MODEL_HF_TOKEN: 'a', DATASET_HF_TOKEN: 'b' })).rejects.toThrow(
      /^spec\.sft\.dataset: .*answered 401.*set spec\.sft\.dataset\.secretRef/,
    );
  });

  test('may be a reference model, with a Secret of its own, and go to the cache that the job names', async () => {
    hub.repositories = {
      'models/org/tiny': model(),
      'models/org/judge': { ...model(), token: 'r' },
      'datasets/org/prefs': data,
    };
    const reference = { source: 'hf://org/judge' };
    const shared = runOf({ reference, cache: { source: 'pvc://shared/dpo' } });
    const { paths } = await fetchAll(shared, { REFERENCE_HF_TOKEN: 'r' });
    expect(paths.reference).toMatch(/\/shared\/dpo\/[0-9a-f]{40}$/);
    expect(readFileSync(join(paths.reference as string, 'model.safetensors')).equals(weights)).toBe(true);
    const changed = runOf({ reference: { ...reference, digest: `sha256:${'0'.repeat(64)}` } }, 'other');
    await expect(fetchAll(changed, { REFERENCE_HF_TOKEN: 'r' })).rejects.toThrow(/^spec\.reference\.digest is /);
  });

  test.each<[string, Partial<DPOJobSpecInput>, RegExp]>([
    ['no such revision', { model: { source: 'hf://org/tiny@v9' } }, /spec\.model: .*revision\/v9 answered 404/],
    ['no such path', { dataset: { source: 'hf://datasets/org/prefs@main/no.jsonl' } }, /holds no no\.jsonl/],
    [
      'no such split',
      { dataset: { source: 'hf://datasets/org/prefs', split: 'dev' } },
      /no file is of the split dev; data files are data\/train/,
    ],
  ])('with %s are refused with the field', async (_, changes, message) => {
    await expect(fetchAll(runOf(changes))).rejects.toThrow(message);
  });

  test('may be an adapter of PEFT: its two files alone, and a merged model beside them is left', async () => {
    const files = { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'weights' };
    hub.repositories['models/org/adapter'] = { commit: second, files: { ...model().files, ...files } };
    const run = runOf({
      model: { source: 'hf://org/tiny', adapter: { source: 'hf://org/adapter' } },
      training: { lora: {} },
    });
    const { paths } = await fetchAll(run);
    expect(readdirSync(paths.adapter as string).sort()).toEqual(Object.keys(files));
    expect(hub.requests.filter((request) => request.includes('/adapter/resolve/'))).toHaveLength(2);
  });

  test('that hold no adapter are told', async () => {
    const run = runOf({
      model: { source: 'hf://org/tiny', adapter: { source: 'hf://org/tiny' } },
      training: { lora: {} },
    });
    await expect(fetchAll(run)).rejects.toThrow(/spec\.model\.adapter: org\/tiny at 1+ holds no adapter/);
  });

  test('whose server lists a path outside the folder are refused', async () => {
    hub.repositories['datasets/org/prefs'] = { commit: first, files: { 'train/../../../x.jsonl': '{}' } };
    await expect(fetchAll(runOf({ dataset: { source: 'hf://datasets/org/prefs' } }))).rejects.toThrow(
      /lists a file with the path/,
    );
  });

  test('beat while they come', () => {
    expect(beats).toBeGreaterThan(0);
  });
});

describe('a digest', () => {
  const ofWeights = `sha256:${createHash('sha256').update(weights).digest('hex')}`;

  test('of a model is that of its weights, as in status.output.digest', async () => {
    await fetchAll(runOf({ model: { source: 'hf://org/tiny', digest: ofWeights } }));
    const wrong = `sha256:${'0'.repeat(64)}`;
    await expect(fetchAll(runOf({ model: { source: 'hf://org/tiny', digest: wrong } }))).rejects.toThrow(
      /spec\.model\.digest is sha256:0{64} and .* has sha256:/,
    );
  });

  test('is checked on a claim too', async () => {
    mkdirSync(join(volumes, 'data'));
    writeFileSync(join(volumes, 'data', 'd.jsonl'), 'abc');
    // SHA-256 of "abc": FIPS 180-2, appendix B.1.
    const abc = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    const dataset = { source: 'pvc://data/d.jsonl', digest: abc };
    await fetchAll(runOf({ dataset }));
    writeFileSync(join(volumes, 'data', 'd.jsonl'), 'abd');
    await expect(fetchAll(runOf({ dataset }))).rejects.toMatchObject({ reason: 'InvalidData' });
  });

  test('of several files is that of what sha256sum prints of them', () => {
    for (const name of ['b.jsonl', 'a.jsonl', 'README.md']) writeFileSync(join(volumes, name), 'abc');
    const line = (name: string): string =>
      `ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ${name}\n`;
    const expected = createHash('sha256')
      .update(line('a.jsonl') + line('b.jsonl'))
      .digest('hex');
    expect(contentDigest(volumes, 'dataset')).toBe(`sha256:${expected}`);
  });
});
