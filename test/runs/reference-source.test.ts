import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Metrics } from '../../crds/progress.ts';
import { resolveRun } from '../../trainer-image/config.ts';
import { first } from '../../trainer-image/data/token-rows.ts';
import { sumTokens } from '../../trainer-image/loss/scores.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { generate, type Generated } from '../../trainer-image/model/generate.ts';
import { readSealed } from '../../trainer-image/checkpoint/store.ts';
import type { Sample } from '../../trainer-image/metrics/samples.ts';
import { questionsOf } from '../../trainer-image/stages/questions.ts';
import { load, train } from '../../trainer-image/train.ts';
import { goldenFolder, goldenPairs, trainingOf } from '../trainer-image/golden.ts';
import {
  listen,
  prepareTiny,
  tinyConfig,
  tinyJob,
  tinyRun,
  writeTinyModel,
  type Heard,
} from '../trainer-image/in-process.ts';
import { exported } from '../trainer-image/small-run.ts';

const withoutSft = tinyJob.replace('  sft: { batchSize: 6, learningRate: 1e-2 }\n', '');
const withReference = (settings = '', spec = withoutSft): string =>
  `${spec}  reference: { source: pvc://models/other${settings} }\n`;

const gpt2 = { model_type: 'gpt2', vocab_size: 4096, n_embd: 16, n_layer: 1, n_head: 2, n_positions: 1024 };
/** The claims of a run with a reference model of its own in models/other. */
function prepareOther(config: object = gpt2, spec = withReference()) {
  const { folder } = prepareTiny();
  writeTinyModel(join(folder, 'models', 'other'), 5, { ...config } as never);
  return { folder, run: tinyRun(folder, spec) };
}
const figures = ({ beats }: Heard, name: keyof Metrics): number[] =>
  beats.flatMap(({ metrics }) => metrics?.[name] ?? []);

describe('a reference model of its own', () => {
  test.each(['', ', precompute: false'])(
    'of another architecture%s is what the policy is measured against from the first step on, without a warning',
    async (settings) => {
      const { run } = prepareOther(gpt2, withReference(settings, withoutSft.replace('batchSize: 6', 'batchSize: 64')));
      const { data } = await load(run, 'test', listen());
      const [policy, reference] = [run.paths.model, run.paths.reference as string].map((folder) => {
        const learner = new Learner(folder, run.job.spec.training);
        return learner.tokenLogProbs([...data.train]).map((tokens) => sumTokens(tokens));
      });
      // Rafailov et al. 2023, eq. 7, over all pairs: the batch holds them all.
      const losses = policy!.map((own, i) => {
        const other = reference![i]!;
        const margin = own.chosen - other.chosen - (own.rejected - other.rejected);
        return Math.log1p(Math.exp(-run.job.spec.training.beta * margin));
      });
      const heard = listen();
      await train(run, 'test', heard);
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
      expect(Math.abs(mean - Math.LN2)).toBeGreaterThan(1e-4);
      expect(figures(heard, 'firstStepLoss')[0]).toBeCloseTo(mean, 5);
      expect(figures(heard, 'zeroMarginLoss')).toEqual([]);
      expect(heard.warnings.map(([reason]) => reason)).not.toContain('FirstStepLoss');
      expect(figures(heard, 'evalKL')[0]).toBeGreaterThan(1e-4);
    },
    30_000,
  );

  test('that is a copy of the model gives the weights that the run has without it, bit for bit', async () => {
    const { folder } = prepareTiny(withoutSft);
    cpSync(join(folder, 'models', 'tiny'), join(folder, 'models', 'other'), { recursive: true });
    const heard = listen();
    await train(tinyRun(folder, withReference()), 'test', heard);
    const alone = prepareTiny(withoutSft);
    await train(alone.run, 'test', listen());
    expect(exported(folder)).toBe(exported(alone.folder));
    expect(figures(heard, 'evalKL')[0]).toBeCloseTo(0, 6);
  });

  test('that is replaced under a run ends it: it is another plan', async () => {
    const { folder, run } = prepareOther();
    await train(run, 'test', listen());
    writeTinyModel(join(folder, 'models', 'other'), 6, gpt2);
    await expect(train(run, 'test', listen())).rejects.toMatchObject({ reason: 'CheckpointMismatch' });
  });

  test.each(['', ', precompute: false'])('answers the prompts of the comparison%s', async (settings) => {
    const spec = withoutSft.replace(/compare: \{[^}]*\}/, 'compare: { fromHeldOut: 1, prompts: [], maxNewTokens: 5 }');
    const { run } = prepareOther(gpt2, withReference(settings, spec));
    await train(run, 'test', listen());
    const { samples } = readSealed(join(run.paths.checkpoints, 'comparison.json')) as { samples: Sample[] };
    const { data, context } = await load(run, 'test', listen());
    const { network } = new Learner(run.paths.reference as string, run.job.spec.training);
    const { stop, tokenizer } = questionsOf(run, data.heldOut, context.positions);
    const prompts = first(data.heldOut, 1).map(({ prompt }) => prompt);
    const [answer] = generate(network, prompts, { maxNewTokens: 5, stop, budget: 1000, beat: () => {} });
    const { tokens, ended } = answer as Generated;
    expect(samples.map(({ reference }) => reference.text)).toEqual([
      tokenizer.decode([...(ended ? tokens.slice(0, -1) : tokens)]),
    ]);
  });

  test('that is in memory is not loaded again for the comparison: its folder may be gone by then', async () => {
    const { folder, run } = prepareOther(gpt2, withReference(', precompute: false'));
    const heard = listen();
    const beat = (part?: Parameters<Heard['beat']>[0]): void => {
      heard.beats.push(part ?? {});
      if (part?.stage === 'Comparing') rmSync(join(folder, 'models', 'other'), { recursive: true, force: true });
    };
    await train(run, 'test', { ...heard, beat });
    expect(existsSync(join(folder, 'models', 'other'))).toBe(false);
    expect(heard.warnings.map(([reason]) => reason)).not.toContain('ComparisonFailed');
    expect(heard.beats.find(({ comparison }) => comparison !== undefined)?.comparison).toMatchObject({ prompts: 1 });
  });

  test('gives the KL against its own weights', () => {
    const [policy, reference, moved] = ['tiny-policy', 'tiny', 'tiny'].map(
      (name) => new Learner(`${goldenFolder}/${name}`, trainingOf()),
    ) as [Learner, Learner, Learner];
    const pairs = goldenPairs.slice(0, 2);
    policy.heldOutKl.capture(pairs, reference.network);
    moved.heldOutKl.capture(pairs);
    const weights = new Map(policy.weights().map(({ name, read }) => [name, read()]));
    moved.restoreWeights((name) => weights.get(name) as Float32Array);
    expect(policy.heldOutKl.measure(pairs)).toEqual(moved.heldOutKl.measure(pairs));
    expect(policy.heldOutKl.measure(pairs).sum).toBeGreaterThan(0);
  });

  const refused: [string, object, string, RegExp][] = [
    [
      'another vocab_size',
      { ...gpt2, vocab_size: 4100 },
      '',
      /^spec.reference.source: its vocab_size is 4100 and that of spec.model 4096/,
    ],
    ['too few positions', { ...gpt2, n_positions: 600 }, '', /it knows 600 positions, and training.maxLength is 1024/],
    [
      'other shapes to be synced with',
      { ...tinyConfig, intermediate_size: 64 },
      ', precompute: false, syncSteps: 2',
      /syncSteps mixes weights of the same shapes, and model.layers.0.mlp.gate_proj.weight is 64 x 16, in spec.model 32 x 16/,
    ],
    [
      'an architecture that cannot be synced',
      gpt2,
      ', precompute: false, syncSteps: 2',
      /and model.embed_tokens.weight is not in it, in spec.model 4096 x 16/,
    ],
  ];
  test.each(refused)('with %s is refused before the data is read', async (_, config, settings, message) => {
    const { run } = prepareOther(config, withReference(settings));
    const heard = listen();
    const refusal = { reason: 'InvalidConfiguration', message: expect.stringMatching(message) };
    await expect(train(run, 'test', heard)).rejects.toMatchObject(refusal);
    expect(heard.beats.map(({ stage }) => stage)).not.toContain('Data');
  });

  test('with another tokenizer is refused with a token that differs', async () => {
    const { folder, run } = prepareOther();
    const file = join(folder, 'models', 'other', 'tokenizer.json');
    const json = JSON.parse(readFileSync(file, 'utf8')) as { model: { vocab: Record<string, number> } };
    const { vocab } = json.model;
    const [[one, id], [two, other]] = Object.entries(vocab).slice(300, 302) as [[string, number], [string, number]];
    Object.assign(vocab, { [one]: other, [two]: id });
    writeFileSync(file, JSON.stringify(json));
    await expect(train(run, 'test', listen())).rejects.toThrow(
      `of the token ${JSON.stringify(one)} it has it as ${other}, and spec.model has it as ${id}`,
    );
  });

  test('that is not there, or is where the model shall go, is refused by its field', () => {
    const { folder, run } = prepareOther();
    const of = (source: string) => ({ ...run.job, spec: { ...run.job.spec, reference: { source, precompute: true } } });
    expect(() => resolveRun(of('pvc://models/none'), folder)).toThrow(/spec.reference.source: .* is not there/);
    cpSync(join(folder, 'models', 'other'), join(folder, 'models', 'out'), { recursive: true });
    expect(() => resolveRun(of('pvc://models/out'), folder)).toThrow(/must not be the folder of spec.reference.source/);
  });
});
