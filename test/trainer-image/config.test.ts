import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { prepareTiny, tinyJob, tinyRun } from './in-process.ts';

test.each(['pvc://models/tiny', 'pvc://models/tiny/', 'pvc://models/link'])(
  'the model is never written over, not as %s either',
  (output) => {
    const { folder } = prepareTiny();
    symlinkSync('tiny', join(folder, 'models', 'link'));
    expect(() => tinyRun(folder, tinyJob.replace('pvc://models/out', output))).toThrow(
      /spec.output.source must not be the folder of spec.model.source/,
    );
  },
);

test('a kind that is nearly DPOJob is told with the name that was meant', () => {
  const { folder } = prepareTiny();
  expect(() => tinyRun(folder, tinyJob.replace('kind: DPOJob', 'kind: DpoJob'))).toThrow(
    /kind is DpoJob: did you mean DPOJob[?]/,
  );
});

test.each([
  [
    'dpo-operator.io/v1alpha1',
    'dpo-operator.io/v1',
    /apiVersion is .*v1: it must be training.dpo-operator.io.v1alpha1/,
  ],
  ['name: tiny', 'name: E_Bad', /metadata.name is E_Bad: it must have up to 47 of a to z/],
  ['name: tiny', `name: ${'a'.repeat(48)}`, /metadata.name is a+: it must have up to 47/],
  ['pvc://models/out', 'pvc://data/pairs.jsonl', /spec.output.source: .*pairs.jsonl is a file: name a folder/],
])('by hand %s as %s is refused as the API server, or the volume, would', (from, to, message) => {
  const { folder } = prepareTiny();
  expect(() => tinyRun(folder, tinyJob.replace(from, to))).toThrow(message);
});

describe('pairs that are not there are told by field and source,', () => {
  test.each([
    [
      'with what is beside them',
      'pvc://data/paris.jsonl',
      /: pvc:..data.paris.jsonl is not there \(.*; beside it: .*pairs/,
    ],
    [
      'or that nothing is',
      'pvc://data/empty/pairs.jsonl',
      /empty.pairs.jsonl is not there \(.*; its folder is empty\)/,
    ],
    ['or that their folder is missing', 'pvc://none/pairs.jsonl', /spec.dataset: pvc:..none.* \([^;]*pairs.jsonl\)$/],
  ])('%s', (_, source, message) => {
    const { folder } = prepareTiny();
    mkdirSync(join(folder, 'data', 'empty'), { recursive: true });
    expect(() => tinyRun(folder, tinyJob.replace('pvc://data/pairs.jsonl', source))).toThrow(message);
  });
});

describe('an adapter that training begins with', () => {
  const job = tinyJob
    .replace('pvc://models/tiny', 'pvc://models/tiny, adapter: { source: pvc://models/adapter }')
    .replace('training: {', 'training: { lora: {},');

  test('is never written over', () => {
    const { folder } = prepareTiny();
    mkdirSync(join(folder, 'models', 'adapter'));
    expect(() => tinyRun(folder, job.replace('pvc://models/out', 'pvc://models/adapter'))).toThrow(
      /spec.output.source must not be the folder of spec.model.adapter.source/,
    );
  });

  test('must be there', () => {
    const { folder } = prepareTiny();
    expect(() => tinyRun(folder, job)).toThrow(/spec.model.adapter.source: pvc:..models.adapter is not there/);
  });
});
