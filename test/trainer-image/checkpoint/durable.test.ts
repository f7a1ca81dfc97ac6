import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

/**
 * Only a power cut would show a missing fsync. So the calls are watched, from before the modules load: what is written is
 * really written.
 */
const fs = process.getBuiltinModule('node:fs');
const calls: string[] = [];
const pathOf = (descriptor: number): string => fs.readlinkSync(`/proc/self/fd/${descriptor}`);

const { fsyncSync, renameSync, readdirSync } = fs;
fs.fsyncSync = (descriptor) => {
  calls.push(`fsync ${basename(pathOf(descriptor))}`);
  fsyncSync(descriptor);
};
fs.renameSync = (from, to) => {
  calls.push(`rename ${basename(String(from))} to ${basename(String(to))}`);
  renameSync(from, to);
};
/** Done once, after a folder has been looked at. */
let between = (): void => {};
fs.readdirSync = ((...args: Parameters<typeof readdirSync>) => {
  const found = readdirSync(...args);
  const act = between;
  between = () => {};
  act();
  return found;
}) as typeof readdirSync;

type Modules = typeof import('../../../trainer-image/checkpoint/store.ts') &
  typeof import('../../../trainer-image/checkpoint/fence.ts');
let modules: Modules;
beforeAll(async () => {
  modules = {
    ...(await import('../../../trainer-image/checkpoint/store.ts')),
    ...(await import('../../../trainer-image/checkpoint/fence.ts')),
  };
});

afterAll(() => void Object.assign(fs, { fsyncSync, renameSync, readdirSync }));

const newFolder = (): string => fs.mkdtempSync(join(tmpdir(), 'durable-'));

describe('what is saved', () => {
  test('as a checkpoint is on disk, files before their folder, before it takes its place, and then that too', () => {
    const folder = newFolder();
    const store = new modules.CheckpointStore(folder, modules.takeFence(folder, 'test'), {
      skipped: () => {},
      mismatch: () => '',
      beat: () => {},
    });
    calls.length = 0;
    const tensors = [{ name: 'w', shape: [1], read: () => Float32Array.of(1) }];
    store.save({ stage: 'Training', step: 1, plan: 'plan', figures: {} }, tensors, 2);
    const name = 'checkpoint-1-0000000001';
    expect(calls).toEqual([
      'fsync tensors.safetensors',
      'fsync state.json.partial',
      'rename state.json.partial to state.json',
      `fsync ${name}.1.partial`,
      `fsync ${name}.1.partial`,
      `rename ${name}.1.partial to ${name}`,
      `fsync ${basename(folder)}`,
    ]);
  });

  test('as a small file is on disk before it takes its place, and then that too', () => {
    const folder = newFolder();
    const fence = modules.takeFence(folder, 'test');
    calls.length = 0;
    modules.writeSealed(join(folder, 'figures.json'), { a: 1 }, fence);
    expect(calls).toEqual([
      'fsync figures.json.partial',
      'rename figures.json.partial to figures.json',
      `fsync ${basename(folder)}`,
    ]);
  });
});

test('of two trainers that take the folder at the same moment the later one takes the next generation', () => {
  const folder = newFolder();
  // The other one is there after this one has looked, and before it writes.
  between = () => fs.writeFileSync(join(folder, 'fence-1.json'), '{"holder":"other"}');
  expect(modules.takeFence(folder, 'test').generation).toBe(2);
  expect(fs.readdirSync(folder)).toEqual(['fence-2.json']);
});
