import { mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { takeFence } from '../../../trainer-image/checkpoint/fence.ts';
import { CheckpointStore, holdsCheckpoint, readSealed, writeSealed } from '../../../trainer-image/checkpoint/store.ts';
import { Stopped, type ProgressPart } from '../../../trainer-image/stages/context.ts';
import { train } from '../../../trainer-image/train.ts';
import { listen, prepareTiny, writeTinyModel } from '../in-process.ts';

const tensors = [{ name: 'w', shape: [2], read: () => Float32Array.of(1, 2) }];
const state = (step: number) => ({ stage: 'Training' as const, step, plan: 'plan', figures: {} });

const silent = { skipped: () => {}, mismatch: () => 'made with another', beat: () => {} };

function newStore() {
  const folder = mkdtempSync(join(tmpdir(), 'store-'));
  const store = new CheckpointStore(folder, takeFence(folder, 'test'), silent);
  const checkpoints = (): string[] => readdirSync(folder).filter((name) => name.startsWith('checkpoint-'));
  return { folder, store, checkpoints };
}

describe('checkpoints', () => {
  test('are kept up to the newest `keep`', () => {
    const { store, checkpoints } = newStore();
    for (const step of [1, 2, 3]) store.save(state(step), tensors, 2);
    expect(checkpoints()).toEqual(['checkpoint-1-0000000002', 'checkpoint-1-0000000003']);
    expect(store.newest('plan')).toMatchObject({ step: 3 });
  });

  test.each(['a store that is opened', 'a save'])('that were never finished are dropped by %s', (by) => {
    const { folder, store, checkpoints } = newStore();
    store.save(state(1), tensors, 2);
    mkdirSync(join(folder, 'checkpoint-1-0000000002.1.partial'));
    writeFileSync(join(folder, 'checkpoint-1-0000000002.1.partial', 'tensors.safetensors'), 'half');
    writeFileSync(join(folder, 'reference.json.partial'), 'half');
    if (by === 'a save') store.save(state(2), tensors, 2);
    else expect(new CheckpointStore(folder, takeFence(folder, 'next'), silent).newest('plan')?.step).toBe(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
    expect(checkpoints()).toContain('checkpoint-1-0000000001');
  });

  test('are passed over with a message when a bit of them has flipped, and the last good one is taken', () => {
    const { folder, store } = newStore();
    for (const step of [1, 2]) store.save(state(step), tensors, 2);
    const file = join(folder, 'checkpoint-1-0000000002', 'tensors.safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    writeFileSync(file, bytes);
    const warnings: string[] = [];
    const again = new CheckpointStore(folder, takeFence(folder, 'next'), {
      ...silent,
      skipped: (message) => warnings.push(message),
    });
    expect(again.newest('plan')?.step).toBe(1);
    expect(warnings).toEqual([
      expect.stringMatching(/checkpoint-1-0000000002 is passed over: its digest is not the one it was saved with/),
    ]);
  });

  test('that come after the one just saved are of a run that was given up: they go, and it stays', () => {
    const { folder, store, checkpoints } = newStore();
    store.save(state(6), tensors, 1);
    writeFileSync(join(folder, 'checkpoint-1-0000000006', 'tensors.safetensors'), 'damaged');
    store.save(state(4), tensors, 1);
    expect(checkpoints()).toEqual(['checkpoint-1-0000000004']);
    expect(store.newest('plan')).toMatchObject({ step: 4 });
  });

  test('of another plan give way to the first one of this plan', () => {
    const { store } = newStore();
    store.save({ ...state(50), plan: 'another' }, tensors, 1);
    store.save(state(10), tensors, 1);
    expect(store.newest('plan')).toMatchObject({ step: 10 });
  });

  test('of a later stage stay when an earlier stage is taken again; those of an earlier one are the older ones', () => {
    const { store, checkpoints } = newStore();
    store.save(state(6), tensors, 1);
    store.save({ ...state(9), stage: 'SFT' }, tensors, 1);
    expect(checkpoints()).toEqual(['checkpoint-0-0000000009', 'checkpoint-1-0000000006']);
    store.save(state(7), tensors, 2);
    expect(checkpoints()).toEqual(['checkpoint-1-0000000006', 'checkpoint-1-0000000007']);
  });

  test('of another plan are refused', () => {
    const { store } = newStore();
    store.save(state(1), tensors, 2);
    expect(() => store.newest('another')).toThrow(expect.objectContaining({ reason: 'CheckpointMismatch' }));
  });

  test('are not put in their place by a trainer that loses the folder while it writes', () => {
    const { folder, store, checkpoints } = newStore();
    const losing = [
      { ...(tensors[0] as (typeof tensors)[0]), read: () => (takeFence(folder, 'b'), Float32Array.of(1, 2)) },
    ];
    expect(() => store.save(state(1), losing, 2)).toThrow(expect.objectContaining({ reason: 'Fenced' }));
    expect(checkpoints()).toEqual([]);
  });

  test('under way in a newer trainer are left alone', () => {
    const { folder, store } = newStore();
    mkdirSync(join(folder, 'checkpoint-1-0000000002.2.partial'));
    store.save(state(1), tensors, 2);
    expect(readdirSync(folder)).toContain('checkpoint-1-0000000002.2.partial');
  });

  test('of a model whose weights have been replaced at the same path are refused', async () => {
    const { folder, run } = prepareTiny();
    // Stopped in fine-tuning, where it saves.
    const beat = ({ stage, stageStep = 0 }: ProgressPart = {}): void => {
      if (stage === 'SFT' && stageStep > 0) throw new Stopped('stopped on request');
    };
    await expect(train(run, 'test', { ...listen(), beat })).rejects.toThrow(Stopped);
    expect(holdsCheckpoint(run.paths.checkpoints)).toBe(true);
    writeTinyModel(join(folder, 'models', 'tiny'), 2);
    await expect(train(run, 'test', listen())).rejects.toMatchObject({
      reason: 'CheckpointMismatch',
      message: expect.stringMatching(/a model's weights or settings have been replaced at the same place/),
    });
  }, 60_000);
});

test('a file with a digest of its own counts as missing when it has been changed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealed-'));
  const file = join(folder, 'plan.json');
  expect(readSealed(file)).toBeUndefined();
  writeSealed(file, { threads: 2 }, takeFence(folder, 'test'));
  expect(readSealed(file)).toEqual({ threads: 2 });
  writeFileSync(file, readFileSync(file, 'utf8').replace('2}', '4}'));
  expect(readSealed(file)).toBeUndefined();
});
