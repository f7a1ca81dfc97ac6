import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { specSchema, type DPOJob } from '../../crds/dpojob.ts';

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
    ['a model that is no claim', { model: { source: '/models/x' } }, 'model.source'],
    ['a holdout of all pairs', { dataset: { source: 'pvc://data/x', holdout: 1 } }, 'dataset.holdout'],
    ['two workers', { workers: 2 }, 'workers'],
    ['a fraction of a step', { training: { maxSteps: 1.5 } }, 'training.maxSteps'],
  ];
  test.each(refused)('with %s is refused, and the error names the field', (_, change, field) => {
    const issues = specSchema.safeParse({ ...tenLines, ...change }).error?.issues ?? [];
    expect(issues.map((issue) => issue.path.join('.'))).toContain(field);
  });
});
