import { existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { specSchema, type DPOJobSpec } from '../../crds/dpojob.ts';
import { prepareExamples } from '../../examples/prepare.ts';
import { loadExamples, loadPairs } from '../../trainer-image/data/load.ts';
import { loadTokenizer } from '../../trainer-image/data/tokenizer.ts';
import { SafetensorsFile } from '../../trainer-image/model/safetensors.ts';

const volumes = mkdtempSync(join(tmpdir(), 'examples-'));
prepareExamples(volumes);

const at = (source = ''): string => join(volumes, source.replace('pvc://', ''));
const specOf = (file: string): DPOJobSpec =>
  specSchema.parse((parse(readFileSync(file, 'utf8')) as { spec: unknown }).spec);

describe.each(['crds/examples/quickstart.yaml', 'test/fixtures/small-job.yaml'])('the job of %s', (file) => {
  const { model, dataset, sft, training } = specOf(file);
  const tokenizer = loadTokenizer(at(model.source));
  const options = { columns: dataset.columns, maxLength: training.maxLength, holdout: 0 };

  test.each([['dataset.source', dataset.source] as const, ['dataset.evalSource', dataset.evalSource] as const])(
    'finds pairs in %s and drops none',
    async (_, source) => {
      const { train, dropped } = await loadPairs(at(source), tokenizer, { ...options, maxPairs: dataset.maxPairs });
      expect(train.length).toBeGreaterThan(100);
      expect(dropped).toEqual({});
    },
  );

  test('finds examples for fine-tuning and drops none', async () => {
    const { examples, dropped } = await loadExamples(at(sft?.dataset?.source), tokenizer, options);
    expect(examples.length).toBeGreaterThan(100);
    expect(dropped).toEqual({});
  });

  test('finds a model of 1 to 3 million parameters whose embedding has a row for each token', () => {
    const weights = new SafetensorsFile(join(at(model.source), 'model.safetensors'));
    const sizes = weights.names.map((name) => weights.read(name).data.length);
    const [rows] = weights.read('model.embed_tokens.weight').shape;
    weights.close();
    expect(sizes.reduce((a, b) => a + b, 0)).toBeGreaterThan(1e6);
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThan(3e6);
    const { model: bpe } = JSON.parse(readFileSync(join(at(model.source), 'tokenizer.json'), 'utf8')) as {
      model: { vocab: Record<string, number> };
    };
    expect(Math.max(...Object.values(bpe.vocab))).toBeLessThan(rows as number);
  });
});

describe('preparing the examples', () => {
  test('makes the same weights from the seed each time, and leaves those that are there alone', () => {
    const weights = join(at('pvc://models/starter'), 'model.safetensors');
    const other = mkdtempSync(join(tmpdir(), 'examples-'));
    prepareExamples(other);
    expect(readFileSync(join(other, 'models/starter/model.safetensors')).equals(readFileSync(weights))).toBe(true);
    const before = statSync(weights, { bigint: true }).mtimeNs;
    prepareExamples(volumes);
    expect(statSync(weights, { bigint: true }).mtimeNs).toBe(before);
  });
});

test("the job for pairs of one's own reads none of the example's data, and finds its model", () => {
  const { model, dataset, sft } = specOf('crds/examples/mine.yaml');
  const read = [dataset.source, dataset.evalSource, sft?.dataset].filter((source) => source !== undefined);
  expect(read).toEqual(['pvc://data/mine.jsonl']);
  expect(existsSync(at(dataset.source))).toBe(false);
  expect(existsSync(join(at(model.source), 'config.json'))).toBe(true);
});
