import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { loadTokenizer } from '../../trainer-image/data/tokenizer.ts';
import { SafetensorsFile, writeSafetensors } from '../../trainer-image/model/safetensors.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, tinyJob, tinyRun } from '../trainer-image/in-process.ts';

// A machine that does other things too may take longer than jest's five seconds.

/**
 * Inputs that cannot be trained on, and what the user is told. The first table goes through what TRL 1.16 does with bad
 * input (a bare KeyError, a loss of 0.0 ...): here each names the row, the file or the field, before any compute.
 */
type Change = (folder: string) => void;
type Case = [input: string, change: Change, reason: string, message: RegExp];

const pair = { prompt: 'Say yes.', chosen: ' yes', rejected: ' no' };
const user = { role: 'user', content: 'Say yes.' };
const answer = (content: string) => [{ role: 'assistant', content }];
const chat = { prompt: [user], chosen: answer('yes'), rejected: answer('no') };

const rows =
  (...lines: object[]): Change =>
  (folder) =>
    writeFileSync(join(folder, 'data', 'pairs.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));

/** Replaces something in the job. */
const spec =
  (what: string, by: string): Change =>
  (folder) =>
    writeFileSync(join(folder, 'job.yaml'), tinyJob.replace(what, by));

const training = (fields: string): Change => spec('training: {', `training: { ${fields}, `);

/** Changes a JSON file of the model. */
const model =
  (file: string, change: (content: Record<string, unknown>) => void): Change =>
  (folder) => {
    const path = join(folder, 'models', 'tiny', file);
    const content = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    change(content);
    writeFileSync(path, JSON.stringify(content));
  };

const text =
  (file: string, content: string): Change =>
  (folder) =>
    writeFileSync(join(folder, file), content);

/** One weight of the model becomes NaN. */
const nan: Change = (folder) => {
  const path = join(folder, 'models', 'tiny', 'model.safetensors');
  const file = new SafetensorsFile(path);
  const tensors = file.names.map((name) => file.read(name));
  (tensors.at(-1) as { data: Float32Array }).data[3] = NaN;
  file.close();
  writeSafetensors(
    path,
    tensors.map(({ name, shape, data }) => ({ name, shape, read: () => data })),
  );
};

const both =
  (...changes: Change[]): Change =>
  (folder) =>
    changes.forEach((change) => change(folder));

const templateFile = 'models/tiny/chat_template.jinja';
const config = 'InvalidConfiguration';
const data = 'InvalidData';

const asInTrl: Case[] = [
  ['no column chosen', rows(pair, { prompt: 'a', rejected: 'b' }), data, /line 2: the column "chosen" is missing/],
  ['no column rejected', rows({ prompt: 'a', chosen: 'b' }), data, /line 1: the column "rejected" is missing/],
  ['no prompt and nothing in common', rows({ chosen: 'a', rejected: 'b' }), data, /line 1: there is no prompt, and/],
  ['an empty data set', rows(), data, /pairs.jsonl: it has no rows/],
  ['prompts that fill maxLength, all of them', training('maxLength: 2'), data, /none is left \(12 PromptTooLong\)/],
  ['null for a prompt', rows(pair, { ...pair, prompt: null }), data, /line 2: it has no prompt, and .*line 1 has one/],
  ['a number for an answer', rows({ ...pair, chosen: 3 }), data, /line 1: the column "chosen" is neither a text nor/],
  ['a text prompt with messages', rows({ ...chat, prompt: 'a' }), data, /line 1: some columns are texts and some are/],
  ['NaN in a weight', nan, config, /model.safetensors: \S+ holds NaN or infinity/],
  [
    'a learning rate of 1e6',
    spec('learningRate: 1e-2, batchSize', 'learningRate: 1e6, batchSize'),
    config,
    /learningRate/,
  ],
  [
    'conversations without a template',
    both(rows(chat), (folder) => rmSync(join(folder, templateFile))),
    config,
    /no chat template.*set spec.model.chatTemplate/,
  ],
  ['no terminator', model('tokenizer_config.json', (json) => delete json['eos_token']), config, /names no eos_token/],
  [
    'a token outside the embedding',
    both(
      model('config.json', (json) => (json['vocab_size'] = 100)),
      cutEmbedding,
    ),
    config,
    /row 1 has the token \d+ and config.json a vocab_size of 100/,
  ],
  ['an unknown loss', training('loss: [{ type: dpo }]'), config, /training.loss\[0\].type/],
  [
    'no data set',
    spec('source: pvc://data/pairs.jsonl, ', ''),
    config,
    /exactly one of source, sources and configMapRef/,
  ],
  ['an unknown divergence', training('fDivergence: hellinger'), config, /training.fDivergence/],
  [
    'exo_pair without smoothing',
    training('loss: [{ type: exo_pair }]'),
    config,
    /labelSmoothing must be above 0 for exo/,
  ],
  [
    'bco_pair with a divergence',
    training('loss: [{ type: bco_pair }], fDivergence: forward_kl'),
    config,
    /fDivergence is defined for/,
  ],
  ['aot with WPO', training('loss: [{ type: aot }], useWeighting: true'), config, /useWeighting weighs pairs, and aot/],
  [
    'robust with smoothing 0.5',
    training('loss: [{ type: robust }], labelSmoothing: 0.5'),
    config,
    /labelSmoothing must be below 0.5/,
  ],
  ['an ldAlpha of 2', training('ldAlpha: 2'), config, /training.ldAlpha/],
  ['a negative beta', training('beta: -0.1'), config, /training.beta/],
  ['a field of another tool', training('use_liger_kernel: true'), config, /spec.training.use_liger_kernel is unknown/],
  ['another field of it', training('paddingFree: true'), config, /spec.training.paddingFree is unknown/],
];

/** The embedding's first 100 rows. */
function cutEmbedding(folder: string): void {
  const path = join(folder, 'models', 'tiny', 'model.safetensors');
  const file = new SafetensorsFile(path);
  const tensors = file.names.map((name) => file.read(name));
  file.close();
  writeSafetensors(
    path,
    tensors.map(({ name, shape, data: values }) =>
      name.includes('embed_tokens')
        ? { name, shape: [100, shape[1] as number], read: () => values.slice(0, 100 * (shape[1] as number)) }
        : { name, shape, read: () => values },
    ),
  );
}

const broken: Case[] = [
  [
    'a template that refuses a row',
    both(rows(chat, chat), text(templateFile, "{{ raise_exception('roles must alternate') }}")),
    data,
    /line 1: .*template refuse it \(.*roles must alternate/,
  ],
  ['a template that is none', text(templateFile, '{% if %}'), config, /the chat template cannot be parsed/],
  [
    'a tokenizer of an unknown kind',
    model('tokenizer.json', (json) => (json['model'] = { type: 'Nothing' })),
    config,
    /tokenizer.json cannot be used/,
  ],
  [
    'a tokenizer that is a list',
    text('models/tiny/tokenizer.json', '[]'),
    config,
    /tokenizer.json is not a JSON object/,
  ],
  ['a config that is a list', text('models/tiny/config.json', '[]'), config, /config.json is not a JSON object/],
  [
    'a setting of the wrong type',
    model('config.json', (json) => (json['rope_theta'] = 'far')),
    config,
    /config.json: .*rope_theta/s,
  ],
  [
    'a setting that is not known',
    model('config.json', (json) => (json['new_gate'] = 1)),
    config,
    /config.json: new_gate not known/,
  ],
  [
    'weights without offsets',
    weightHeader({ x: { dtype: 'F32', shape: [1] } }),
    config,
    /the header's entry x has no proper/,
  ],
  ['weights with a header of no kind', weightHeader(null), config, /its header is not a JSON object/],
  [
    'an index that is none',
    both(
      (folder) => rmSync(join(folder, 'models/tiny/model.safetensors')),
      text('models/tiny/model.safetensors.index.json', '{}'),
    ),
    config,
    /holds no "weight_map"/,
  ],
  ['a job of another kind', text('job.yaml', 'kind: Job'), config, /holds no DPOJob/],
  ['a job that is no YAML', text('job.yaml', 'kind: ['), config, /is not YAML/],
];

function weightHeader(header: unknown): Change {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return (folder) =>
    writeFileSync(join(folder, 'models', 'tiny', 'model.safetensors'), Buffer.concat([length, json, Buffer.alloc(8)]));
}

describe.each([
  ['what TRL passes over or fails on without a word', asInTrl],
  ['files that are not what they should be', broken],
])('%s', (_, cases) => {
  test.each(cases)('%s', async (__, change, reason, message) => {
    const { folder } = prepareTiny();
    change(folder);
    const heard = listen();
    const run = async (): Promise<void> => {
      const written = readFileSync(join(folder, 'job.yaml'), 'utf8');
      await train(tinyRun(folder, written), 'test', heard);
    };
    await expect(run()).rejects.toMatchObject({ reason, message: expect.stringMatching(message) });
    const computed = heard.beats.filter(({ stage }) => stage !== 'Loading' && stage !== 'Data' && stage !== undefined);
    expect(computed).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});

test('a model is taken with settings that mean nothing here, and with the default of several chat templates', async () => {
  const { folder, run } = prepareTiny();
  rows(...Array.from({ length: 8 }, (_, i) => ({ ...chat, prompt: [{ ...user, content: `${i}` }] })))(folder);
  const template = readFileSync(join(folder, templateFile), 'utf8');
  rmSync(join(folder, templateFile));
  const named = [
    { name: 'rag', template: "{{ raise_exception('not this one') }}" },
    { name: 'default', template },
  ];
  model('tokenizer_config.json', (json) => (json['chat_template'] = named))(folder);
  const inert = { tokenizer_class: 'X', 'transformers.js_config': {}, unsloth_version: '1', unsloth_fixed: true };
  model('config.json', (json) => Object.assign(json, inert))(folder);
  const heard = listen();
  await train(run, 'test', heard);
  expect(heard.beats.at(-1)?.stage).toBe('Done');
});

test('rows whose prompt alone fills maxLength are left out and counted', async () => {
  const { folder } = prepareTiny();
  const prompts = Array.from({ length: 8 }, (_, i) => `${i}${' far'.repeat(i)}`);
  rows(...prompts.map((prompt) => ({ ...pair, prompt })))(folder);
  training('maxLength: 6')(folder);
  const heard = listen();
  await train(tinyRun(folder, readFileSync(join(folder, 'job.yaml'), 'utf8')), 'test', heard);
  const tokenizer = loadTokenizer(join(folder, 'models', 'tiny'));
  const tooLong = prompts.filter((prompt) => tokenizer.encode(prompt).length >= 6).length;
  expect(tooLong).toBeGreaterThan(0);
  expect(heard.beats.find((beat) => beat.data !== undefined)?.data?.dropped?.['PromptTooLong']).toBe(tooLong);
});

test('fine-tuning on the preference data stops at its maxPairs too', async () => {
  const { folder } = prepareTiny();
  const maxPairs = (value: number): string => tinyJob.replace('holdout: 0.2', `holdout: 0, maxPairs: ${value}`);
  const stepsWith = async (value: number): Promise<number | undefined> => {
    const heard = listen();
    const job = maxPairs(value).replace('sft: { batchSize: 6', 'sft: { batchSize: 1, packing: false');
    const own = job.replace('{ name: tiny }', `{ name: tiny-${value} }`).replace('models/out', `models/out-${value}`);
    await train(tinyRun(folder, own), 'test', heard);
    return heard.beats.find(({ stage, stageTotal }) => stage === 'SFT' && stageTotal !== undefined)?.stageTotal;
  };
  expect([await stepsWith(2), await stepsWith(5)]).toEqual([2, 5]);
});
