import { execFileSync } from 'node:child_process';
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGzip, gzipSync, zstdCompressSync, type Gzip } from 'node:zlib';
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { readRows } from '../../trainer-image/data/rows.ts';
import { loadTokenizer, tokenIds } from '../../trainer-image/data/tokenizer.ts';
import { TrainerError } from '../../trainer-image/errors.ts';
import { SafetensorsFile } from '../../trainer-image/model/safetensors.ts';

/** Files that lie about themselves. Each is refused with its name and what is wrong, and with memory bounded. */
jest.setTimeout(120_000);
const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
let files = 0;
function fileOf(name: string, content: string | Uint8Array): string {
  const file = join(folder, `${(files += 1)}-${name}`);
  writeFileSync(file, content);
  return file;
}

/** Most memory, in bytes, that this process had while `work` ran, above what it had before. */
async function peakOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
  await work();
  clearInterval(timer);
  return Math.max(peak, process.memoryUsage().rss) - before;
}

const allRows = async (file: string): Promise<number> => {
  let count = 0;
  for await (const _row of readRows(file)) count += 1;
  return count;
};

describe('weights', () => {
  const length = (bytes: bigint): Buffer => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigUInt64LE(bytes);
    return buffer;
  };
  const weights = (header: string, bytes = 16): Uint8Array =>
    Buffer.concat([length(BigInt(Buffer.byteLength(header))), Buffer.from(header), Buffer.alloc(bytes)]);
  const tensor = (dtype: unknown, shape: unknown, offsets: unknown): string =>
    JSON.stringify({ x: { dtype, shape, data_offsets: offsets } });
  const two = (a: number[], b: number[]): string =>
    JSON.stringify({
      a: { dtype: 'F32', shape: [2], data_offsets: a },
      b: { dtype: 'F32', shape: [2], data_offsets: b },
    });

  test.each<[string, Uint8Array | string, RegExp]>([
    ['with no header', '', /no safetensors file/],
    ['with half a length', Buffer.alloc(4), /no safetensors file/],
    ['with a header of no bytes', length(0n), /no safetensors file/],
    ['with a header as long as numbers go', length(2n ** 64n - 1n), /no safetensors file/],
    ['with a header of a negative length', length(BigInt.asUintN(64, -1n)), /no safetensors file/],
    ['with a header longer than the file', length(1000n), /no safetensors file/],
    ['with a header longer than any', length(100_000_001n), /no safetensors file/],
    ['with a header that is no JSON', weights('{"x":'), /header is not a JSON object/],
    ['with a list for a header', weights('[]'), /header is not a JSON object/],
    ['with null for a header', weights('null'), /header is not a JSON object/],
    ['with a header of many levels', weights('{"a":'.repeat(5000) + '1' + '}'.repeat(5000)), /no proper dtype/],
    ['with a text for a tensor', weights('{"x":"y"}'), /x has no proper dtype/],
    ['with a negative size', weights(tensor('F32', [-2], [0, 8])), /no proper dtype/],
    ['with half a size', weights(tensor('F32', [0.5], [0, 2])), /no proper dtype/],
    ['with a size beyond whole numbers', weights(tensor('F32', [2 ** 60], [0, 8])), /no proper dtype/],
    [
      'with sizes whose product is beyond them',
      weights(tensor('F32', [2 ** 40, 2 ** 40], [0, 8])),
      /not fill its shape/,
    ],
    ['with a text for sizes', weights(tensor('F32', '2', [0, 8])), /no proper dtype/],
    ['with a negative offset', weights(tensor('F32', [2], [-8, 0])), /no proper dtype/],
    ['with offsets turned round', weights(tensor('F32', [2], [8, 0])), /lies outside the file/],
    ['with an offset beyond the file', weights(tensor('F32', [2], [16, 24])), /lies outside the file/],
    [
      'with an offset as far as numbers go',
      weights(tensor('F32', [2], [2 ** 53 - 9, 2 ** 53 - 1])),
      /outside the file/,
    ],
    ['with one offset', weights(tensor('F32', [2], [0])), /no proper dtype/],
    ['with three offsets', weights(tensor('F32', [2], [0, 8, 16])), /no proper dtype/],
    ['with a number for a type', weights(tensor(32, [2], [0, 8])), /no proper dtype/],
    ['with two tensors in one place', weights(two([0, 8], [0, 8])), /overlap/],
    ['with tensors that overlap', weights(two([4, 12], [0, 8])), /overlap/],
    ['that are a pointer of git’s', 'version https://git-lfs.github.com/spec/v1\n', /no safetensors file/],
  ])('%s are refused', (_, content, message) => {
    const file = fileOf('model.safetensors', content);
    expect(() => new SafetensorsFile(file)).toThrow(TrainerError);
    expect(() => new SafetensorsFile(file)).toThrow(message);
    expect(() => new SafetensorsFile(file)).toThrow('model.safetensors');
  });

  test('may have a tensor named as what every object has', () => {
    const entry = { dtype: 'F32', shape: [1], data_offsets: [0, 4] };
    const header = `{"constructor":${JSON.stringify(entry)}}`;
    const file = new SafetensorsFile(fileOf('model.safetensors', weights(header)));
    expect(file.read('constructor').data).toHaveLength(1);
    expect(() => file.read('toString')).toThrow(/no tensor toString/);
    file.close();
  });
});

/** So many bytes of one letter, compressed without having them all at once. */
async function bomb(megabytes: number): Promise<Buffer> {
  const gzip: Gzip = createGzip();
  const parts: Buffer[] = [];
  gzip.on('data', (part: Buffer) => parts.push(part));
  const piece = Buffer.alloc(1 << 20, 'a');
  for (let i = 0; i < megabytes; i++) {
    if (!gzip.write(piece)) await new Promise((resolve) => gzip.once('drain', resolve));
  }
  await new Promise<void>((resolve) => gzip.end(() => resolve()));
  return Buffer.concat(parts);
}

describe('compressed rows that are far larger than their file', () => {
  let letters: Buffer;
  beforeAll(async () => {
    letters = await bomb(600);
  });

  test.each<[string, string, string]>([
    ['one line', 'd.jsonl.gz', ''],
    ['one text in a list', 'd.json.gz', '[{"prompt":"'],
    ['one line after a good one', 'd.jsonl.gz', '{"prompt":"x"}\n{"prompt":"'],
  ])('%s of 600 MB', async (_, name, before) => {
    const file = fileOf(name, Buffer.concat([gzipSync(before), letters]));
    const peak = await peakOf(() =>
      expect(allRows(file)).rejects.toMatchObject({
        reason: 'InvalidData',
        message: expect.stringMatching(/cannot be read.*a row of over 67108864 characters/),
      }),
    );
    // What the row may have, some times over: pieces, their join and what is not yet collected.
    expect(peak).toBeLessThan(600e6);
  });

  test('a zstd frame that asks for more memory than is usual', async () => {
    const frame = Buffer.concat([Buffer.from('28b52ffd', 'hex'), Buffer.from([0x00, 0xf8, 0x01, 0x00, 0x00])]);
    await expect(allRows(fileOf('d.jsonl.zst', frame))).rejects.toMatchObject({ reason: 'InvalidData' });
  });

  test.each([
    ['gzip of nothing', gzipSync('').subarray(0, 12)],
    ['gzip with a wrong sum', Buffer.concat([gzipSync('{"prompt":"x"}').subarray(0, -8), Buffer.alloc(8)])],
    ['zstd that is cut', zstdCompressSync(Buffer.alloc(100_000, 'a{')).subarray(0, 12)],
    ['a zstd frame to be skipped as long as can be', Buffer.from('502a4d18ffffffff', 'hex')],
    ['frames of no bytes', Buffer.from('502a4d1800000000'.repeat(100), 'hex')],
  ])('%s ends, with an error or without a row', async (_, content) => {
    const rows = allRows(fileOf('d.jsonl', content)).catch((error: unknown) => {
      expect(error).toMatchObject({ reason: 'InvalidData' });
      return 0;
    });
    expect(await rows).toBeLessThan(2);
  });
});

describe('Parquet', () => {
  const columnData = [{ name: 'prompt', data: ['a'.repeat(100), 'b'] }];
  const codecs = ['GZIP', 'BROTLI', 'ZSTD'] as const;
  /** A page whose bytes decompress to far more than its header says. */
  const packed = zstdCompressSync(Buffer.alloc(1 << 28));
  const withBomb = (): Uint8Array =>
    new Uint8Array(parquetWriteBuffer({ columnData, codec: 'ZSTD', compressors: { ZSTD: () => packed } }));

  test('with a page that holds 256 MB and says it holds few bytes is refused in little memory', async () => {
    const file = fileOf('d.parquet', withBomb());
    const peak = await peakOf(() => expect(allRows(file)).rejects.toMatchObject({ reason: 'InvalidData' }));
    expect(peak).toBeLessThan(150e6);
  });

  test.each(codecs)('with bytes that %s does not know is refused', async (codec) => {
    const content = parquetWriteBuffer({
      columnData,
      codec,
      compressors: { [codec]: () => Buffer.from('no such thing') },
    });
    await expect(allRows(fileOf('d.parquet', new Uint8Array(content)))).rejects.toMatchObject({
      reason: 'InvalidData',
    });
  });

  test.each<[string, (good: Buffer) => Buffer]>([
    ['without an end', (good) => good.subarray(0, -4)],
    ['of an end alone', () => Buffer.from('PAR1')],
    ['of nothing', () => Buffer.alloc(0)],
    ['with a footer longer than the file', (good) => (good.writeUInt32LE(0x7fffffff, good.length - 8), good)],
    ['with a footer of no bytes', (good) => (good.writeUInt32LE(0, good.length - 8), good)],
  ])('%s is refused', async (_, change) => {
    const good = Buffer.from(parquetWriteBuffer({ columnData }));
    await expect(allRows(fileOf('d.parquet', change(good)))).rejects.toMatchObject({ reason: 'InvalidData' });
  });

  test('with any byte changed is read, or refused as data: never anything else', async () => {
    const good = Buffer.from(parquetWriteBuffer({ columnData }));
    const outcomes = { read: 0, refused: 0 };
    for (let at = 0; at < good.length; at++) {
      for (const flip of [0xff, 0x01]) {
        const changed = Buffer.from(good);
        changed[at] = (changed[at] as number) ^ flip;
        const read = await allRows(fileOf('d.parquet', changed)).then(
          () => true,
          (error: unknown) => {
            expect(error).toMatchObject({ reason: 'InvalidData', message: expect.stringContaining('d.parquet') });
            return false;
          },
        );
        outcomes[read ? 'read' : 'refused'] += 1;
      }
    }
    expect(Math.min(outcomes.read, outcomes.refused)).toBeGreaterThan(0);
  });
});

describe('rows', () => {
  test.each<[string, string]>([
    ['a list', '[1]'],
    ['a text', '"x"'],
    ['null', 'null'],
    ['half an object', '{"prompt":'],
    ['NaN', '{"prompt": NaN}'],
    ['a comment', '{"prompt": /* x */ "y"}'],
    ['two objects', '{} {}'],
    ['a control character in a text', '{"prompt": "a\u0001"}'],
  ])('of %s are refused with the line', async (_, line) => {
    await expect(allRows(fileOf('d.jsonl', `{"prompt":"x"}\n${line}\n`))).rejects.toThrow(/line 2: it is not/);
  });

  test.each([
    ['a prototype', '{"__proto__": {"polluted": true}, "prompt": "x"}'],
    ['a constructor', '{"constructor": {"prototype": {"polluted": true}}, "prompt": "x"}'],
    ['two thousand levels', `{"prompt": ${'['.repeat(2000)}${']'.repeat(2000)}}`],
    ['the same column twice', '{"prompt": "x", "prompt": "y"}'],
  ])('with %s change nothing else', async (_, line) => {
    expect(await allRows(fileOf('d.jsonl', line))).toBe(1);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('that are a link to what they must not be tell little of it', async () => {
    const secret = fileOf('secret', 'HF_TOKEN=hf_this-must-not-be-told\0PATH=/bin');
    const link = join(folder, 'link.jsonl');
    symlinkSync(secret, link);
    const told = await allRows(link).catch((error: Error) => error.message);
    expect(told).toMatch(/line 1: it is not JSON/);
    expect(told).not.toContain('hf_this');
  });

  test('in a folder whose links go round are read once', async () => {
    const round = mkdtempSync(join(tmpdir(), 'round-'));
    writeFileSync(join(round, 'a.jsonl'), '{"prompt":"x"}\n');
    symlinkSync(round, join(round, 'again'));
    symlinkSync(join(round, 'nowhere'), join(round, 'nowhere.jsonl'));
    symlinkSync(join(round, 'self.jsonl'), join(round, 'self.jsonl'));
    expect(await allRows(round)).toBe(1);
  });

  test('of a pipe, which would be waited for without end, are refused', async () => {
    const pipe = join(folder, 'pipe.jsonl');
    execFileSync('mkfifo', [pipe]);
    await expect(allRows(pipe)).rejects.toThrow(/no file and no folder/);
  });
});

describe('a tokenizer', () => {
  const config = { eos_token: 'b' };
  const model = { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] };
  const load = (tokenizer: unknown, settings: unknown = config): (() => unknown) => {
    const own = mkdtempSync(join(tmpdir(), 'tokenizer-'));
    const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
    writeFileSync(join(own, 'tokenizer.json'), text(tokenizer));
    writeFileSync(join(own, 'tokenizer_config.json'), text(settings));
    return () => {
      tokenIds(own);
      return loadTokenizer(own).encode('ab');
    };
  };

  test.each<[string, unknown]>([
    ['that is no JSON', '{'],
    ['that is a list', []],
    ['that is null', 'null'],
    ['without a model', {}],
    ['with null for a model', { model: null }],
    ['with a vocabulary that is a text', { model: { ...model, vocab: 'ab' } }],
    ['with a text for an id', { model: { ...model, vocab: { a: '0' } } }],
    ['with half an id', { model: { ...model, vocab: { a: 0.5 } } }],
    ['with a model of no kind', { model: { ...model, type: 'Nothing' } }],
    ['with a model named as what every object has', { model: { ...model, type: 'constructor' } }],
    ['with an added token of no number', { model, added_tokens: [{ id: 'x', content: 'c' }] }],
    ['with added tokens that are no list', { model, added_tokens: {} }],
    ['that is deep', `{"model":${'['.repeat(3000)}${']'.repeat(3000)}}`],
    ['with a pattern that is none', { model, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' } } }],
    ['with a normalizer of no kind', { model, normalizer: { type: '__proto__' } }],
  ])('%s is refused', (_, tokenizer) => {
    expect(load(tokenizer)).toThrow(TrainerError);
  });

  test.each<[string, unknown]>([
    ['that are no JSON', '{'],
    ['that are a list', []],
    ['without the end of a text', {}],
    ['with a number for the end of a text', { eos_token: 7 }],
  ])('with settings %s is refused', (_, settings) => {
    expect(load({ model }, settings)).toThrow(TrainerError);
  });
});
