import { mkdtempSync, readFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { PairTokens } from '../../../trainer-image/loss/scores.ts';
import { eachShard, type Shard } from '../../../trainer-image/reference/shards.ts';
import { ReferenceStore, removeUnused } from '../../../trainer-image/reference/store.ts';

const pair = { row: 1, prompt: Int32Array.of(1), chosen: Int32Array.of(2, 3), rejected: Int32Array.of(4) };
const shard = [...eachShard([pair, { ...pair, rejected: Int32Array.of(5, 6, 7) }], 100)][0] as Shard;
const tokens: PairTokens[] = [
  { chosen: Float32Array.of(-1 / 3, -2), rejected: Float32Array.of(-1e-30) },
  { chosen: Float32Array.of(-3, -4), rejected: Float32Array.of(-5, -6, -7) },
];

describe('a store of log-probabilities', () => {
  let folder: string;
  let told: [reason: string, message: string][];
  const edge = { warn: (reason: string, message: string) => void told.push([reason, message]), mayCommit: () => {} };
  const open = (identity = 'a'): ReferenceStore => new ReferenceStore(folder, identity, edge);
  const files = (): string[] => readdirSync(join(folder, 'a'));
  const file = (): string => join(folder, 'a', files()[0] as string);
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'reference-'));
    told = [];
  });

  test('gives back what was written, bit for bit, to any other store of the same reference', () => {
    expect(open().read(shard)).toBeUndefined();
    open().write(shard, tokens);
    expect(open().read(shard)).toEqual(tokens);
    expect(told).toEqual([]);
  });

  test('gives nothing to another reference, and nothing for other pairs', () => {
    open().write(shard, tokens);
    expect(open('b').read(shard)).toBeUndefined();
    expect(open().read([...eachShard([pair], 100)][0] as Shard)).toBeUndefined();
  });

  const damages: [string, (bytes: Buffer) => Buffer][] = [
    ['a bit changed', (bytes) => Buffer.from(bytes.map((byte, i) => (i === bytes.length - 3 ? byte ^ 8 : byte)))],
    ['its digest changed', (bytes) => Buffer.from(bytes.map((byte, i) => (i === 3 ? byte ^ 8 : byte)))],
    ['its end missing', (bytes) => bytes.subarray(0, -4)],
    ['nothing in it', () => Buffer.alloc(0)],
  ];
  test.each(damages)('passes over a shard with %s, says so, and takes its replacement', (_, damage) => {
    open().write(shard, tokens);
    writeFileSync(file(), damage(readFileSync(file())));
    expect(open().read(shard)).toBeUndefined();
    expect(told).toEqual([['ReferenceSkipped', expect.stringContaining(`${shard.digest}.f32 is passed over`)]]);
    open().write(shard, tokens);
    expect(open().read(shard)).toEqual(tokens);
  });

  test('takes no notice of a file that another writer has not finished', () => {
    open().write(shard, tokens);
    const whole = readFileSync(file());
    writeFileSync(file(), whole);
    writeFileSync(`${file()}.other.partial`, whole.subarray(0, 9));
    open().write(shard, tokens);
    expect(open().read(shard)).toEqual(tokens);
    expect(files()).toHaveLength(2);
  });

  test('leaves nothing behind where it may not write any more', () => {
    const lost = new ReferenceStore(folder, 'a', {
      ...edge,
      mayCommit: () => {
        throw new Error('fenced');
      },
    });
    expect(() => lost.write(shard, tokens)).toThrow('fenced');
    expect(files()).toEqual([]);
  });

  test('in a folder that cannot be written is told of once', () => {
    // No user may make a folder here.
    const store = new ReferenceStore('/sys/kernel', 'a', edge);
    store.write(shard, tokens);
    store.write(shard, tokens);
    expect(told).toEqual([['ReferenceNotKept', expect.stringMatching(/could not be written/)]]);
  });

  test('loses what has not been used for 30 days, and what was left half written an hour ago', () => {
    const day = 86_400;
    open().write(shard, tokens);
    const other = [...eachShard([pair], 100)][0] as Shard;
    open().write(other, tokens.slice(0, 1));
    for (const name of ['x.partial', 'y.partial']) writeFileSync(join(folder, 'a', name), '');
    const now = Date.now() / 1000;
    const age = (name: string, seconds: number): void =>
      utimesSync(join(folder, 'a', name), now - seconds, now - seconds);
    age(`${shard.digest}.f32`, 31 * day);
    age(`${other.digest}.f32`, 29 * day);
    age('x.partial', 3700);
    removeUnused(folder);
    expect(files().toSorted()).toEqual([`${other.digest}.f32`, 'y.partial'].toSorted());
    // A job that reads a shard keeps it.
    age(`${other.digest}.f32`, 29 * day);
    open().read(other);
    removeUnused(folder, Date.now() + 2 * day * 1000);
    expect(files()).toContain(`${other.digest}.f32`);
  });

  test('that is not there yet has nothing to lose', () => {
    expect(() => removeUnused(join(folder, 'none'))).not.toThrow();
  });
});
