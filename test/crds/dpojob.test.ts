import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { acceleratorRules } from '../../crds/accelerator.ts';
import { outputRules } from '../../crds/output.ts';
import { podRules } from '../../crds/pod.ts';
import { lossRules, lossTypes, type LossType } from '../../crds/losses.ts';
import { specSchema, type DPOJob } from '../../crds/dpojob.ts';
import { optimizerRules } from '../../crds/optimizer.ts';
import { referenceRules } from '../../crds/reference.ts';
import { sftCourse, sftRules } from '../../crds/sft.ts';

const quickstart = parse(readFileSync('crds/examples/quickstart.yaml', 'utf8')) as DPOJob;
const tenLines = {
  model: { source: 'pvc://models/smollm2-135m' },
  dataset: { source: 'pvc://data/hh.jsonl.gz' },
  output: { source: 'pvc://models/smollm2-135m-dpo' },
};

describe("a DPOJob's spec", () => {
  test('of the quickstart is accepted', () => {
    expect(specSchema.safeParse(quickstart.spec).error).toBeUndefined();
  });

  test('needs a model, a data set and an output only: every other field has a default', () => {
    const spec = specSchema.parse(tenLines);
    expect(spec.training).toMatchObject({ beta: 0.1, learningRate: 1e-6, epochs: 1, optimizer: 'adamw', seed: 42 });
    expect(spec.accelerator).toEqual({ resource: 'nvidia.com/gpu', count: 1 });
    expect(spec.dataset.holdout).toBe(0.02);
    expect(spec.checkpoint).toMatchObject({ everySteps: 100, everySeconds: 600, keep: 2 });
  });

  test('parsed again stays as it is', () => {
    const once = specSchema.parse(tenLines);
    expect(specSchema.parse(once)).toEqual(once);
  });

  const refused: [string, object, string][] = [
    ['a beta of zero', { training: { beta: 0 } }, 'training.beta'],
    ['a negative learning rate', { training: { learningRate: -1 } }, 'training.learningRate'],
    ['an unknown loss', { training: { loss: [{ type: 'sigmoyd' }] } }, 'training.loss.0.type'],
    ['a split of a claim', { dataset: { source: 'pvc://data/x', split: 'test' } }, 'dataset.split'],
    [
      'a mixture and a source',
      { dataset: { source: 'pvc://data/x', sources: [{ source: 'pvc://data/y' }] } },
      'dataset.source',
    ],
    [
      'a split of a claim in a mixture',
      { dataset: { sources: [{ source: 'pvc://data/y', split: 'x' }] } },
      'dataset.sources.0.split',
    ],
    ['two sources of data', { dataset: { source: 'pvc://data/x', configMapRef: { name: 'c' } } }, 'dataset.source'],
    ['a model that is no source', { model: { source: '/models/x' } }, 'model.source'],
    ['a holdout of all pairs', { dataset: { source: 'pvc://data/x', holdout: 1 } }, 'dataset.holdout'],
    ['two workers', { workers: 2 }, 'workers'],
    [
      'early stopping and nothing held out',
      { dataset: { source: 'pvc://data/x', holdout: 0 }, evaluation: { earlyStopping: {} } },
      'evaluation',
    ],
    ['betas that adafactor has not', { training: { optimizer: 'adafactor', betas: [0.8, 0.99] } }, 'training.betas'],
    ['an epsilon that lion has not', { training: { optimizer: 'lion', epsilon: 1e-6 } }, 'training.epsilon'],
    ['a momentum that adamw has not', { training: { momentum: 0.9 } }, 'training.momentum'],
    ['an alpha that sgd has not', { training: { optimizer: 'sgd', rmspropAlpha: 0.9 } }, 'training.rmspropAlpha'],
    ['a warm-up of constant', { training: { schedule: 'constant', warmup: 0.1 } }, 'training.warmup'],
    ['no least rate for its schedule', { training: { schedule: 'cosine_with_min_lr' } }, 'training.minLrRate'],
    ['a least rate that linear has not', { training: { minLrRate: 0.1 } }, 'training.minLrRate'],
    ['an SFT warm-up of constant', { sft: { schedule: 'constant' }, training: { warmup: 0.1 } }, 'sft.warmup'],
    ["no least rate for SFT's schedule", { sft: { schedule: 'cosine_with_min_lr' } }, 'sft.minLrRate'],
    ["a least rate that SFT's schedule has not", { sft: { minLrRate: 0.1 } }, 'sft.minLrRate'],
    ['a fraction of a step', { training: { maxSteps: 1.5 } }, 'training.maxSteps'],
  ];
  const accepted: [string, object][] = [
    ["lion's betas", { optimizer: 'lion', betas: [0.9, 0.99] }],
    ["rmsprop's settings", { optimizer: 'rmsprop', epsilon: 1e-6, momentum: 0.9, rmspropAlpha: 0.9 }],
    ["sgd's momentum", { optimizer: 'sgd', momentum: 0.9 }],
    ['a warm-up before a constant rate', { schedule: 'constant_with_warmup', warmup: 0.1 }],
    ['a cosine to a tenth', { schedule: 'cosine_with_min_lr', warmup: 0.1, minLrRate: 0.1 }],
  ];
  test.each(accepted)('with %s is accepted', (_, training) => {
    expect(specSchema.safeParse({ ...tenLines, training }).error).toBeUndefined();
  });

  test("gives SFT training's schedule, warm-up and least rate, except for what it sets itself", () => {
    const training = { schedule: 'cosine_with_min_lr', warmup: 0.1, minLrRate: 0.2 };
    const course = (sft: object): object => sftCourse(specSchema.parse({ ...tenLines, sft, training }));
    expect(course({})).toEqual(training);
    expect(course({ warmup: 0, minLrRate: 0.5 })).toEqual({ ...training, warmup: 0, minLrRate: 0.5 });
    expect(course({ schedule: 'linear' })).toMatchObject({ schedule: 'linear', warmup: 0.1 });
  });

  test.each(refused)('with %s is refused, and the error names the field', (_, change, field) => {
    const issues = specSchema.safeParse({ ...tenLines, ...change }).error?.issues ?? [];
    expect(issues.map((issue) => issue.path.join('.'))).toContain(field);
  });
});

describe('every rule between fields', () => {
  const refused = readdirSync('crds/examples/refused').map((name) =>
    readFileSync(`crds/examples/refused/${name}`, 'utf8'),
  );
  const messagesOf = (text: string): string[] =>
    (specSchema.safeParse((parse(text) as DPOJob).spec).error?.issues ?? []).map(({ message }) => message);

  const rules: { message: string }[] = [
    ...lossRules,
    ...optimizerRules,
    ...sftRules,
    ...referenceRules,
    ...acceleratorRules,
    ...podRules,
    ...outputRules,
  ];
  test.each(rules)('has an example that zod refuses with its message: $message', ({ message }) => {
    const examples = refused.filter((text) => messagesOf(text).includes(message));
    expect(examples.map((text) => message.includes(/^# refused: (.*)$/m.exec(text)?.[1] as string))).toEqual([true]);
  });

  test('lets every loss through, with what it needs', () => {
    const needs: Partial<Record<LossType, object>> = { exo_pair: { labelSmoothing: 1e-3 } };
    for (const type of lossTypes) {
      const training = { loss: [{ type }], ...needs[type] };
      expect(specSchema.safeParse({ ...tenLines, training }).error).toBeUndefined();
    }
  });
});
