import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { takeFence } from '../../trainer-image/checkpoint/fence.ts';
import { readSealed, writeSealed } from '../../trainer-image/checkpoint/store.ts';
import type { Run } from '../../trainer-image/config.ts';
import { first } from '../../trainer-image/data/token-rows.ts';
import { loadTokenizer } from '../../trainer-image/data/tokenizer.ts';
import type { Sample } from '../../trainer-image/metrics/samples.ts';
import { generate } from '../../trainer-image/model/generate.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { SafetensorsFile } from '../../trainer-image/model/safetensors.ts';
import { compareOrWarn } from '../../trainer-image/stages/comparison.ts';
import { questionsOf, roomFor, stopTokens } from '../../trainer-image/stages/questions.ts';
import { load, prepare, train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, tinyJob } from '../trainer-image/in-process.ts';
import { exported } from '../trainer-image/small-run.ts';

const spec = tinyJob
  .replace(
    'fromHeldOut: 1, prompts: [], maxNewTokens: 2',
    'fromHeldOut: 1, prompts: [Say <b>hello</b>], maxNewTokens: 6',
  )
  .replace('learningRate: 1e-2, batchSize: 6, micro', 'learningRate: 1e-1, batchSize: 6, micro')
  .replace('everySteps: 1,', 'everySteps: 100,');
const samplesOf = (run: Run): { key: string; samples: Sample[] } =>
  readSealed(join(run.paths.checkpoints, 'comparison.json')) as { key: string; samples: Sample[] };

describe('the comparison with the reference', () => {
  const calm = prepareTiny(spec);
  const heard = listen();
  beforeAll(async () => train(calm.run, 'test', heard), 30_000);
  const { paths } = calm.run;
  const answersOf = (folder: string): string[] => {
    const tokenizer = loadTokenizer(paths.model);
    const { network } = new Learner(folder, calm.run.job.spec.training);
    const prompt = Int32Array.from(tokenizer.encodeChat([{ role: 'user', content: 'Say <b>hello</b>' }], true));
    const settings = { maxNewTokens: 6, stop: stopTokens(folder, tokenizer), budget: 100, beat: () => {} };
    return generate(network, [prompt], settings).map(({ tokens, ended }) =>
      tokenizer.decode(Array.from(tokens.slice(0, ended ? -1 : undefined))),
    );
  };

  test("has the exported model's own answers, and those of the weights at the start of the preference stage", async () => {
    const { samples } = samplesOf(calm.run);
    expect(samples.map(({ source }) => source)).toEqual(['heldOut', 'prompts']);
    expect([samples[1]?.policy.text]).toEqual(answersOf(paths.output));
    // The reference is what fine-tuning alone leaves: a run without any preference step exports it.
    const tuned = prepareTiny(
      spec.replace('learningRate: 1e-1, batchSize: 6, micro', 'learningRate: 1e-30, batchSize: 6, micro'),
    );
    await train(tuned.run, 'test', listen());
    expect([samples[1]?.reference.text]).toEqual(answersOf(tuned.run.paths.output));
    expect(samples[1]?.policy.text).not.toBe(samples[1]?.reference.text);
  }, 30_000);

  test('with adapters has the answers of the merged model', async () => {
    const adapted = prepareTiny(spec.replace('learningRate: 1e-1,', 'learningRate: 1e-1, lora: { rank: 4 },'));
    await train(adapted.run, 'test', listen());
    const [, { policy, reference }] = samplesOf(adapted.run).samples as [Sample, Sample];
    expect([policy.text]).toEqual(answersOf(adapted.run.paths.output));
    expect(policy.text).not.toBe(reference.text);
  }, 30_000);

  test('stands in short in the progress, and names the report', () => {
    const { comparison, report } = heard.beats.findLast((beat) => beat.report !== undefined) ?? {};
    const { samples } = samplesOf(calm.run);
    expect(comparison).toMatchObject({
      prompts: 2,
      tokens: samples.reduce((sum, { policy }) => sum + policy.tokens, 0) / 2,
    });
    expect(comparison?.kl).toBeGreaterThan(0);
    expect(report).toBe('pvc://models/out/report.html');
  });

  test('is made once: a run that is stopped after it reads it back', async () => {
    const { folder, run } = prepareTiny(spec);
    const exporting = heard.beats.findIndex(({ stage }) => stage === 'Exporting') + 1;
    await expect(train(run, 'test', listen(exporting))).rejects.toThrow('stopped');
    const { key, samples } = samplesOf(run);
    const marked = samples.map((sample) => ({ ...sample, prompt: 'read back' }));
    writeSealed(
      join(run.paths.checkpoints, 'comparison.json'),
      { key, samples: marked },
      takeFence(run.paths.checkpoints, 'test'),
    );
    const second = listen();
    await train(run, 'test', second);
    // Nothing is answered: only the weights are digested.
    const answering = second.beats.filter(({ stage, stageStep }) => stage === 'Comparing' && stageStep !== undefined);
    expect(answering).toEqual([]);
    expect(readFileSync(join(run.paths.output, 'report.html'), 'utf8')).toContain('read back');
    expect(exported(folder)).toBe(exported(calm.folder));
  }, 30_000);

  test('beats for each weight that it digests, sets aside and loads: a stop need not wait for a whole model', () => {
    const weights = new SafetensorsFile(join(paths.output, 'model.safetensors')).names.length;
    const comparing = heard.beats.filter(({ stage }) => stage === 'Comparing');
    const answering = comparing.findIndex(({ stageStep }) => stageStep !== undefined);
    expect(answering).toBe(weights);
    // Two more tell that the answers have been scored under each model.
    expect(comparing.filter(({ stageStep }) => stageStep === undefined)).toHaveLength(3 * weights + 2);
  });

  test('that fails by itself costs a warning, and leaves the weights as they were', async () => {
    const { run } = prepareTiny(spec);
    const said = listen();
    const loaded = await load(run, 'test', said);
    const { context } = prepare(loaded);
    const questions = questionsOf(run, loaded.data.heldOut, undefined);
    const decode = (): string => {
      throw new Error('no such token');
    };
    context.learner.startStage();
    context.learner.accumulatePreference(first(loaded.data.heldOut, 1), (scores) =>
      scores.map((score) => ({
        ...score,
        loss: 0,
        rewards: { chosen: 0, rejected: 0 },
        slopes: { chosen: 1, rejected: 0, likelihood: 0 },
      })),
    );
    context.learner.update(1, 0.1);
    const weights = (): Float32Array[] => context.learner.weights().map(({ read }) => read());
    const before = weights();
    const asked = { ...questions, tokenizer: { ...questions.tokenizer, decode } };
    expect(compareOrWarn(context, asked, undefined)).toEqual([]);
    expect(said.warnings).toContainEqual(['ComparisonFailed', expect.stringContaining('no such token')]);
    expect(weights()).toEqual(before);
  }, 30_000);

  test('is left out where no prompt is given', async () => {
    const { run } = prepareTiny(tinyJob.replace('fromHeldOut: 1', 'fromHeldOut: 0'));
    const quiet = listen();
    await train(run, 'test', quiet);
    expect(quiet.beats.some(({ comparison }) => comparison !== undefined)).toBe(false);
    expect(quiet.beats.findLast(({ report }) => report !== undefined)?.report).toBe('pvc://models/out/report.html');
  });
});

test.each([
  [{ eos_token_id: 7 }, { eos_token_id: 2 }, [7, 2, 5]],
  [{ eos_token_id: [7, 8] }, {}, [7, 8, 5]],
  [undefined, { eos_token_id: null }, [5]],
])('answers end at the tokens of generation_config %j and config %j: %j', (generation, config, expected) => {
  const folder = mkdtempSync(join(tmpdir(), 'stop-'));
  if (generation !== undefined) writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(generation));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  expect([...stopTokens(folder, { eosTokenId: 5 })]).toEqual(expected);
});

test.each([
  [Infinity, 1024, 128, { prompt: 1024, answer: 128 }],
  [1024, 1024, 128, { prompt: 896, answer: 128 }],
  [64, 64, 128, { prompt: 1, answer: 63 }],
])(
  'with %d positions, prompts of %d and answers of %d tokens there is room for %j',
  (positions, maxLength, maxNewTokens, room) => {
    expect(roomFor(positions, { maxLength, maxNewTokens })).toEqual(room);
  },
);

test('a default prompt that the chat template refuses is left out: the user may not know of it', () => {
  const template =
    "{% for m in messages %}{% if m.content == '?' %}{{ raise_exception('not so') }}{% endif %}{{ m.content }}{% endfor %}";
  const { run } = prepareTiny(
    tinyJob
      .replace('source: pvc://models/tiny }', `source: pvc://models/tiny, chatTemplate: ${JSON.stringify(template)} }`)
      .replace('prompts: [], ', ''),
  );
  const texts = questionsOf(run, []).prompts.map(({ text }) => text);
  expect(texts).toHaveLength(3);
  expect(texts).not.toContain('?');
});

test('a prompt that the chat template refuses ends the run before anything is computed', async () => {
  const template =
    "{% for m in messages %}{% if m.content == 'no' %}{{ raise_exception('not so') }}{% endif %}{{ m.content }}{% endfor %}";
  const { run } = prepareTiny(
    tinyJob
      .replace('source: pvc://models/tiny }', `source: pvc://models/tiny, chatTemplate: ${JSON.stringify(template)} }`)
      .replace('prompts: []', "prompts: ['yes', 'no']"),
  );
  const heard = listen();
  await expect(train(run, 'test', heard)).rejects.toThrow(/evaluation.compare.prompts\[1\] .*not so/);
  expect(heard.beats.some(({ stage }) => stage === 'SFT' || stage === 'Reference')).toBe(false);
});
