import { describe, expect, test } from '@jest/globals';
import { parseHubSource } from '../../../trainer-image/sources/hub.ts';
import { chooseSplit, configurationsOf } from '../../../trainer-image/sources/hub-splits.ts';
import type { Asker } from '../../../trainer-image/sources/http.ts';

const asker = { field: 'spec.dataset' } as Asker;

describe('a source of the Hub', () => {
  test.each([
    ['hf://org/name', ['model', 'org/name', 'main', '']],
    ['hf://gpt2', ['model', 'gpt2', 'main', '']],
    ['hf://org/name@v1.0', ['model', 'org/name', 'v1.0', '']],
    ['hf://org/name@refs/pr/3', ['model', 'org/name', 'refs/pr/3', '']],
    ['hf://datasets/org/name', ['dataset', 'org/name', 'main', '']],
    ['hf://datasets/name@main/a.jsonl', ['dataset', 'name', 'main', 'a.jsonl']],
    ['hf://datasets/org/name/sub/a.jsonl', ['dataset', 'org/name', 'main', 'sub/a.jsonl']],
    [
      'hf://datasets/org/name@refs/convert/parquet/default/train/0.parquet',
      ['dataset', 'org/name', 'refs/convert/parquet', 'default/train/0.parquet'],
    ],
  ])('%s', (source, [type, repository, revision, path]) => {
    expect(parseHubSource(source)).toEqual({ type, repository, revision, path });
  });
});

describe('files of a split are', () => {
  const shards = ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'];
  const prefs = ['data/train_prefs-00000-of-00001.parquet', 'data/train_sft-00000-of-00001.parquet'];
  const subsets = ['hard/train.jsonl', 'hard/test.jsonl', 'easy/train.jsonl'];
  test.each<[string, string[], { split: string; subset?: string }, string[]]>([
    ['numbered shards', [...shards, 'data/test-00000-of-00001.parquet'], { split: 'train' }, shards],
    ['of the exact split, not of one that begins like it', [...shards, ...prefs], { split: 'train' }, shards],
    ['of a split of its own name', [...shards, ...prefs], { split: 'train_prefs' }, [prefs[0] as string]],
    ['in a folder of the split', ['train/a.jsonl', 'test/a.jsonl'], { split: 'test' }, ['test/a.jsonl']],
    ['named by another word for it', ['a.train.jsonl', 'a.dev.jsonl'], { split: 'validation' }, ['a.dev.jsonl']],
    [
      'with the split in a longer word',
      ['hh_train.jsonl.gz', 'hh_test.jsonl.gz'],
      { split: 'test' },
      ['hh_test.jsonl.gz'],
    ],
    ['all, where no name tells a split', ['a.jsonl', 'b.jsonl'], { split: 'train' }, ['a.jsonl', 'b.jsonl']],
    ['of the subset only', subsets, { split: 'train', subset: 'hard' }, ['hard/train.jsonl']],
    ['Parquet where there is JSONL too', ['train.jsonl', 'train.parquet'], { split: 'train' }, ['train.parquet']],
  ])('%s', (_, files, wanted, expected) => {
    expect(chooseSplit(files, [], wanted, asker)).toEqual(expected);
  });

  const card = configurationsOf([
    {
      config_name: 'a',
      data_files: [
        { split: 'train', path: 'a/*.jsonl' },
        { split: 'test', path: ['a/held/**'] },
      ],
    },
    { config_name: 'b', default: true, data_files: 'b.jsonl' },
  ]);
  const files = ['a/1.jsonl', 'a/2.jsonl', 'a/held/x/3.jsonl', 'b.jsonl'];
  test.each<[string, { split: string; subset?: string }, string[]]>([
    ["a configuration's patterns", { split: 'train', subset: 'a' }, ['a/1.jsonl', 'a/2.jsonl']],
    ['its other split', { split: 'test', subset: 'a' }, ['a/held/x/3.jsonl']],
    ['the default configuration', { split: 'train' }, ['b.jsonl']],
  ])('by the card: %s', (_, wanted, expected) => {
    expect(chooseSplit(files, card, wanted, asker)).toEqual(expected);
  });

  test.each<[string, () => string[], RegExp]>([
    [
      'a split that no file has',
      () => chooseSplit(['train.jsonl'], [], { split: 'test' }, asker),
      /no file is of the split test; data files are train\.jsonl/,
    ],
    [
      'a training split where names tell only others',
      () => chooseSplit(['test.jsonl'], [], { split: 'train' }, asker),
      /no file is of the split train/,
    ],
    [
      'a subset that is not there',
      () => chooseSplit(['a.jsonl'], [], { split: 'train', subset: 'z' }, asker),
      /there is no subset z/,
    ],
    [
      'a subset the card does not declare',
      () => chooseSplit(files, card, { split: 'train', subset: 'z' }, asker),
      /set subset to one of a, b/,
    ],
  ])('refused for %s', (_, choose, message) => {
    expect(choose).toThrow(message);
  });
});
