import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { readRows } from '../../../trainer-image/data/rows.ts';
import type { DatasetFormat } from '../../../crds/dataset.ts';

const folder = mkdtempSync(join(tmpdir(), 'rows-'));
const write = (name: string, content: string | Uint8Array): string => {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
};
const read = async (file: string, format?: DatasetFormat) => {
  const rows = [];
  for await (const { row, columns } of readRows(file, format)) rows.push({ row, columns });
  return rows;
};

const pairs = [
  { prompt: 'ü "quoted", [brackets] {braces} \\', chosen: ' yes', rejected: ' no' },
  { prompt: 'two\nlines', chosen: ' 1', rejected: ' 2' },
];
const expected = pairs.map((columns, i) => ({ row: i + 1, columns }));
const lines = pairs.map((pair) => JSON.stringify(pair)).join('\r\n');
const array = JSON.stringify(pairs, null, 2);

describe('rows are the same from', () => {
  test.each<[string, string | Uint8Array, DatasetFormat?]>([
    ['pairs.jsonl', lines],
    ['mark.jsonl', `\uFEFF${lines}\n`],
    ['pairs.jsonl.gz', gzipSync(lines)],
    ['pairs.jsonl.zst', zstdCompressSync(lines)],
    ['gzip-without-a-name.jsonl', gzipSync(lines)],
    ['pairs.json', array],
    ['pairs.json.gz', gzipSync(array)],
    ['one-line.json', `  ${JSON.stringify(pairs)}`],
    ['lines.json', lines],
    ['no-extension', lines],
    ['any.txt', array, 'json'],
  ])('%s', async (...[name, content, format]) => {
    expect(await read(write(name, content), format)).toEqual(expected);
  });

  const column = (key: keyof (typeof pairs)[0]) => ({ name: key, data: pairs.map((pair) => pair[key]) });
  const columnData = [column('prompt'), column('chosen'), column('rejected')];
  test.each<['SNAPPY' | 'GZIP' | 'ZSTD' | 'BROTLI' | 'UNCOMPRESSED', ((bytes: Uint8Array) => Uint8Array)?]>([
    ['UNCOMPRESSED'],
    ['SNAPPY'],
    ['GZIP', (bytes) => gzipSync(bytes)],
    ['ZSTD', (bytes) => zstdCompressSync(bytes)],
    ['BROTLI', (bytes) => brotliCompressSync(bytes)],
  ])('Parquet compressed by %s, in several row groups', async (...[codec, compress]) => {
    const compressors = compress === undefined ? {} : { [codec]: compress };
    const bytes = parquetWriteBuffer({ columnData, codec, compressors, rowGroupSize: 1 });
    expect(await read(write(`${codec}.parquet`, new Uint8Array(bytes)))).toEqual(expected);
  });
});

test('conversations and whole numbers of 64 bits come out of Parquet as JSON would have them', async () => {
  const messages = [
    [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes' },
    ],
  ];
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'chosen', data: messages },
      { name: 'id', data: [7n] },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'chosen', num_children: 1, repetition_type: 'OPTIONAL', converted_type: 'LIST' },
      { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
      { name: 'element', num_children: 2, repetition_type: 'OPTIONAL' },
      { name: 'role', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'content', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'id', type: 'INT64', repetition_type: 'OPTIONAL' },
    ],
  });
  const [row] = await read(write('nested.parquet', new Uint8Array(bytes)));
  expect(JSON.parse(JSON.stringify(row))).toEqual({ row: 1, columns: { chosen: messages[0], id: 7 } });
});

test('a folder is read file by file in the order of names, and rows are counted on', async () => {
  mkdirSync(join(folder, 'shards', 'more'), { recursive: true });
  write('shards/b.jsonl', lines);
  write('shards/a.json', array);
  write('shards/more/c.jsonl.gz', gzipSync(lines));
  write('shards/README.md', 'not data');
  const rows = await read(join(folder, 'shards'));
  expect(rows.map(({ row }) => row)).toEqual([1, 2, 3, 4, 5, 6]);
});

describe('a compressed file of several parts is read to its end:', () => {
  const half = (i: number): Buffer => Buffer.from(`${JSON.stringify(pairs[i])}\n`);
  // Cut inside the two bytes of "ü", where one part ends and the next begins.
  const cut = half(0).indexOf('ü') + 1;
  // A frame to be skipped, of 4 bytes: RFC 8878, section 3.1.2.
  const skipped = Buffer.from('502a4d180400000000000000', 'hex');
  test.each<[string, Buffer[]]>([
    ['gzip', [gzipSync(half(0).subarray(0, cut)), gzipSync(half(0).subarray(cut)), gzipSync(half(1))]],
    [
      'zstd',
      [
        skipped,
        zstdCompressSync(half(0).subarray(0, cut)),
        zstdCompressSync(half(0).subarray(cut)),
        zstdCompressSync(half(1)),
      ],
    ],
  ])('%s', async (name, parts) => {
    expect(await read(write(`parts.jsonl.${name}`, Buffer.concat(parts)))).toEqual(expected);
  });

  test('a part that is cut, or is none, is an error', async () => {
    const frames = Buffer.concat([zstdCompressSync(half(0)), zstdCompressSync(half(1))]);
    await expect(read(write('cut.jsonl.zst', frames.subarray(0, -5)))).rejects.toThrow(/cannot be read after line 1/);
    await expect(read(write('more.jsonl.zst', Buffer.concat([frames, Buffer.from('more')])))).rejects.toThrow(
      /cannot be read after line 2/,
    );
  });
});

test('a large JSON array is found in pieces', async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({ text: `${'x'.repeat(i % 90)}"\\${i}` }));
  const rows = await read(write('large.json', JSON.stringify(many)));
  expect(rows.map(({ columns }) => columns)).toEqual(many);
});

describe('a file is refused, with its name and place, when', () => {
  test.each([
    ['a line is broken', 'broken.jsonl', `${lines}\n{`, /broken\.jsonl, line 3: it is not JSON/],
    ['an element is broken', 'broken.json', '[{"a":1},{"a":}]', /broken\.json, row 2: it is not JSON/],
    ['an element is no object', 'number.json', '[1]', /number\.json, row 1: it is not a JSON object/],
    [
      'an array is cut',
      'cut.json',
      '[{"a":1},{"a',
      /cut\.json: it cannot be read after row 1 \(the array is not closed/,
    ],
    ['something follows an array', 'more.json', '[{"a":1}] x', /more\.json: .*something follows the end of the array/],
    ['gzip is cut', 'cut.jsonl.gz', gzipSync(lines.repeat(50)).subarray(0, 90), /cut\.jsonl\.gz: it cannot be read/],
    ['Parquet is none', 'none.parquet', 'hello hello hello', /none\.parquet: it cannot be read/],
  ])('%s', async (_, name, content, message) => {
    const reading = read(write(name, content));
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toMatchObject({ reason: 'InvalidData' });
  });

  test('a second file of a folder has the bad row', async () => {
    mkdirSync(join(folder, 'bad'));
    write('bad/1.jsonl', lines);
    write('bad/2.jsonl', '{}\n[]');
    await expect(read(join(folder, 'bad'))).rejects.toThrow(/2\.jsonl, line 2: it is not a JSON object/);
  });

  test('a folder has no data file', async () => {
    mkdirSync(join(folder, 'empty'));
    await expect(read(join(folder, 'empty'))).rejects.toThrow(/the folder holds no/);
  });
});
