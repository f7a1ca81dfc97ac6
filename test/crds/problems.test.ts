import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { specSchema, type DPOJob } from '../../crds/dpojob.ts';
import { fieldsOf } from '../../crds/fields.ts';
import { nearest, problemsOf, unknownFields } from '../../crds/problems.ts';

const fields = fieldsOf(specSchema);
const tenLines = {
  model: { source: 'pvc://models/smollm2-135m' },
  dataset: { source: 'pvc://data/hh.jsonl.gz' },
  output: { source: 'pvc://models/smollm2-135m-dpo' },
};
const problems = (spec: object): string[] => {
  const parsed = specSchema.safeParse(spec);
  return parsed.success ? [] : problemsOf(parsed.error, spec, fields, ['spec']);
};

describe('a mistake is told with its field, what stands there and what is allowed', () => {
  test.each<[string, object, string]>([
    [
      'a number below its bound',
      { training: { beta: 0 } },
      'spec.training.beta must be above 0 and at most 1000 and is 0',
    ],
    [
      'a number above its bound',
      { dataset: { ...tenLines.dataset, holdout: 2 } },
      'spec.dataset.holdout must be at least 0 and at most 0.5 and is 2',
    ],
    [
      'an exclusive maximum',
      { training: { momentum: 1 } },
      'spec.training.momentum must be at least 0 and below 1 and is 1',
    ],
    [
      'a number with one bound',
      { training: { epochs: -1 } },
      'spec.training.epochs must be above 0 and at most 1000 and is -1',
    ],
    ['a fraction', { training: { maxSteps: 1.5 } }, 'spec.training.maxSteps must be a whole number and is 1.5'],
    [
      'a text for a number',
      { training: { learningRate: 'high' } },
      'spec.training.learningRate must be a number and is the text "high"',
    ],
    [
      'a text for a list',
      { training: { loss: 'sigmoid' } },
      'spec.training.loss must be a list and is the text "sigmoid"',
    ],
    [
      'nothing for a group',
      { dataset: { ...tenLines.dataset, columns: null } },
      'spec.dataset.columns must be a group of fields and is empty',
    ],
    ['a text for a switch', { suspend: 'yes' }, 'spec.suspend must be true or false and is the text "yes"'],
    ['a list for a text', { model: { source: ['a'] } }, 'spec.model.source must be a text and is a list'],
    ['a group that is missing', { output: undefined }, 'spec.output must be a group of fields and is missing'],
    ['a field that is missing', { model: {} }, 'spec.model.source must be a text and is missing'],
    ['an empty text', { model: { ...tenLines.model, chatTemplate: '' } }, 'spec.model.chatTemplate must not be empty'],
    [
      'a text that is too long',
      { dataset: { ...tenLines.dataset, configMapRef: { name: 'x'.repeat(254) } } },
      'spec.dataset.configMapRef.name must have at most 253 letters and has 254',
    ],
    [
      'a list that is too short',
      { training: { betas: [0.9] } },
      'spec.training.betas must have at least 2 entries and has 1',
    ],
    [
      'a list that is too long',
      { training: { betas: [0.9, 0.9, 0.9] } },
      'spec.training.betas must have at most 2 entries and has 3',
    ],
    [
      'a word near one that is meant',
      { training: { loss: [{ type: 'sigmoyd' }] } },
      'is the text "sigmoyd": did you mean sigmoid?',
    ],
    [
      'a name that is another here',
      { training: { loss: [{ type: 'dpo' }] } },
      'is the text "dpo": did you mean sigmoid?',
    ],
    [
      'a name where a group of fields has it',
      { training: { loss: ['ipo'] } },
      'spec.training.loss[0] must be a group of fields and is the text "ipo": write { type: ipo }',
    ],
    [
      'a word like no other',
      { training: { schedule: 'wave' } },
      'spec.training.schedule must be one of linear, cosine, ',
    ],
    [
      'what is no quantity',
      { resources: { limits: { cpu: true } } },
      'spec.resources.limits.cpu must be a whole number or a text and is true',
    ],
    [
      'a path of this machine',
      { model: { source: './gpt2' } },
      'spec.model.source: must be one of pvc://claim/path, hf://org/name@revision, s3://bucket/key, https://host/path',
    ],
    [
      'a manager without a domain',
      { managedBy: 'kueue' },
      'spec.managedBy: must be a domain and a name: kueue.x-k8s.io',
    ],
    [
      'a size in words',
      { output: { source: 's3://bucket/key' }, checkpoint: { volume: { size: 'big' } } },
      'spec.checkpoint.volume.size: must be a size above 0 such as 50Gi or 500G',
    ],
    [
      'a digest that is cut',
      { model: { ...tenLines.model, digest: 'sha256:0' } },
      'spec.model.digest: must be sha256: and 64 digits, each 0 to 9 or a to f',
    ],
  ])('%s', (_, change, told) => {
    expect(problems({ ...tenLines, ...change }).filter((problem) => problem.includes(told))).toHaveLength(1);
  });

  test('the meaning of the field follows, where the API tells it', () => {
    expect(problems({ ...tenLines, training: { beta: 0 } })).toEqual([
      'spec.training.beta must be above 0 and at most 1000 and is 0 (Strength of the pull towards the reference model: higher beta, less deviation)',
    ]);
  });

  test('no word of the validator stands in what the refused examples are told', () => {
    const told = readdirSync('crds/examples/refused').flatMap((name) => {
      const { spec } = parse(readFileSync(`crds/examples/refused/${name}`, 'utf8')) as DPOJob;
      return problems(spec);
    });
    expect(told.length).toBeGreaterThan(30);
    for (const text of told)
      expect(text).not.toMatch(/expected|received|Invalid|Too (small|big)|pattern|undefined|[\\^]/);
  });
});

describe('a field that is unknown is told with its path and the name that was meant', () => {
  test.each<[string, object, string[]]>([
    [
      'in the way of another tool',
      { training: { learning_rate: 1 } },
      ['spec.training.learning_rate is unknown: did you mean learningRate?'],
    ],
    ['with a letter left out', { datset: {} }, ['spec.datset is unknown: did you mean dataset?']],
    [
      'with two letters exchanged',
      { training: { loss: [{ tpye: 'ipo' }] } },
      ['spec.training.loss[0].tpye is unknown: did you mean type?'],
    ],
    ['in the wrong group', { beta: 0.1 }, ['spec.beta is unknown: did you mean spec.training.beta?']],
    [
      'in the wrong group, where several have it',
      { batchSize: 8 },
      ['spec.batchSize is unknown: did you mean spec.sft.batchSize or spec.training.batchSize?'],
    ],
    [
      'that nothing is like',
      { training: { use_liger_kernel: true } },
      ['spec.training.use_liger_kernel is unknown: docs/api.md has all fields'],
    ],
    [
      "among Kubernetes' own",
      { pod: { env: [{ name: 'A', vlaue: 'b' }] } },
      ['spec.pod.env[0].vlaue is unknown: did you mean value?'],
    ],
    [
      'twice',
      { a: 1, b: 2 },
      ['spec.a is unknown: docs/api.md has all fields', 'spec.b is unknown: docs/api.md has all fields'],
    ],
    ['named as what every object has', { toString: 1 }, ['spec.toString is unknown: docs/api.md has all fields']],
  ])('%s', (_, spec, told) => {
    expect(unknownFields({ spec }, { properties: { spec: fields } })).toEqual(told);
  });

  test('and none is where a name is free: labels, limits, selectors', () => {
    const spec = {
      ...tenLines,
      pod: { labels: { any: 'x' }, nodeSelector: { 'a/b': 'c' } },
      resources: { limits: { cpu: 1 } },
    };
    expect(unknownFields(spec, fields)).toEqual([]);
  });
});

test.each([
  ['learning_rate', 'learningRate'],
  ['betta', 'beta'],
  ['bata', 'beta'],
  ['bateSize', 'batchSize'],
  ['x', undefined],
  ['microscope', undefined],
])('of a few names, %s is nearest to %s', (written, name) => {
  expect(nearest(written, ['beta', 'batchSize', 'learningRate'])).toBe(name);
});
