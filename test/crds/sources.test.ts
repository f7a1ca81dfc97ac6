import { describe, expect, test } from '@jest/globals';
import { claimSource, dataSource, modelSource } from '../../crds/sources.ts';

const schemas = { claim: claimSource, model: modelSource, data: dataSource };
const accepts = (kind: keyof typeof schemas, source: string): boolean => schemas[kind].safeParse(source).success;

describe('a source is accepted', () => {
  test.each<[keyof typeof schemas, string]>([
    ['claim', 'pvc://models/a b/c.d'],
    ['model', 'pvc://models'],
    ['model', 'hf://gpt2'],
    ['model', 'hf://org/name.v1-x@refs/pr/12'],
    ['model', 'hf://org/name@0123456789abcdef0123456789abcdef01234567'],
    ['model', 's3://my.bucket/some/model/'],
    ['model', 'https://host.example:8443/models/a%20b/?token=x'],
    ['data', 'hf://datasets/org/name@v1/sub folder/train.parquet'],
    ['data', 'hf://datasets/squad'],
    ['data', 's3://bucket/year=2026/a+b.jsonl.zst'],
    ['data', 'https://example.com/pairs.jsonl.gz'],
  ])('as %s: %s', (kind, source) => {
    expect(accepts(kind, source)).toBe(true);
  });
});

describe('a source is refused', () => {
  test.each<[keyof typeof schemas, string, string]>([
    ['claim', 'hf://org/name', 'an output is a claim'],
    ['model', '/models/x', 'it names no claim'],
    ['model', 'file:///etc/passwd', 'a file of the pod'],
    ['model', 'http://example.com/m', 'nothing protects what is read on the way'],
    ['model', 'https://user:password@example.com/m', 'credentials belong in a Secret'],
    ['model', 'https://example.com', 'it has no path'],
    ['model', 'https://example.com/a#b', 'a fragment never reaches the server'],
    ['model', 'pvc://models/../x', 'a path trick'],
    ['data', 'pvc://data/./x', 'a path trick'],
    ['data', 'https://example.com/a/%2E%2E/b', 'a path trick in hexadecimal'],
    ['data', 'https://example.com/a%2fb', 'a hidden slash'],
    ['data', 's3://bucket/../x', 'a path trick'],
    ['data', 's3://bucket', 'a whole bucket'],
    ['data', 's3://Bucket/x', 'no bucket has such a name'],
    ['data', 'hf://datasets/org/name@v1/../x', 'a path trick'],
    ['data', 'hf://org/name', 'a model is no data'],
    ['model', 'hf://datasets/org', 'data is no model'],
    ['model', 'hf://org/name/file', 'a model is a whole repository'],
    ['model', 'hf://org/name@', 'an empty revision'],
  ])('as %s: %s (%s)', (kind, source) => {
    expect(accepts(kind, source)).toBe(false);
  });
});
