import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { takeFence } from '../../../trainer-image/checkpoint/fence.ts';
import { differences, keepPlan, keptPlan, mismatch, planDigest } from '../../../trainer-image/checkpoint/plan.ts';

const training = { beta: 0.1, epochs: 1, loss: [{ type: 'sigmoid' }] };
const plan = {
  settings: { model: { source: 'pvc://a/b' }, dataset: { source: 'pvc://d/e' }, sft: undefined, training },
  models: ['m1'],
  tokens: 't1',
};
const withTraining = (more: object) => ({
  ...plan,
  settings: { ...plan.settings, training: { ...training, ...more } },
});

describe('a plan that differs from the one of the checkpoints is told in what:', () => {
  test.each([
    ['a number', withTraining({ beta: 0.5 }), ['training.beta was 0.1 and is 0.5']],
    ['an entry of a list', withTraining({ loss: [{ type: 'ipo' }] }), ['training.loss[0].type was sigmoid and is ipo']],
    ['a field that was not set', withTraining({ maxSteps: 3 }), ['training.maxSteps was not set and is 3']],
    [
      'the other model, which its own weights go with',
      { ...plan, settings: { ...plan.settings, model: { source: 'pvc://a/c' } }, models: ['m2'], tokens: 't2' },
      ['model.source was pvc://a/b and is pvc://a/c'],
    ],
    [
      'weights at the same place',
      { ...plan, models: ['m2'] },
      ["a model's weights or settings have been replaced at the same place"],
    ],
    [
      'rows at the same place, and a number',
      { ...withTraining({ beta: 1 }), tokens: 't2' },
      ['training.beta was 0.1 and is 1', "the data's rows, or the tokenizer, have been replaced at the same place"],
    ],
    ['nothing', plan, []],
  ])('%s', (_, now, told) => {
    expect(differences(plan, now)).toEqual(told);
    expect(planDigest(now) === planDigest(plan)).toBe(told.length === 0);
  });

  test('of many settings the first five', () => {
    const many = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`field${i}`, i]));
    expect(differences(plan, withTraining(many)).slice(4)).toEqual([
      'training.field4 was not set and is 4',
      '3 more settings',
    ]);
  });
});

test('a plan is kept beside its checkpoints, without the signature of an address', () => {
  const folder = mkdtempSync(join(tmpdir(), 'plan-'));
  const signed = { ...plan, settings: { dataset: { source: 'https://host/rows.jsonl?X-Amz-Signature=secret' } } };
  keepPlan(folder, signed, takeFence(folder, 'test'));
  expect(readFileSync(join(folder, 'plan.json'), 'utf8')).not.toContain('secret');
  expect(differences(keptPlan(folder) as typeof plan, signed)).toEqual([]);
});

test('where no plan was kept, the message says what it may be, and what to do all the same', () => {
  const folder = mkdtempSync(join(tmpdir(), 'plan-'));
  const advice = `set another metadata.name and another output.source, or remove the folder ${folder} to begin anew under this name`;
  expect(mismatch(folder, plan)).toBe(
    `the checkpoints in ${folder} were made with another model, data set or training plan: ${advice}`,
  );
});
