import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { takeFence } from '../../../trainer-image/checkpoint/fence.ts';
import { CheckpointStore, holdsCheckpoint } from '../../../trainer-image/checkpoint/store.ts';
import { Stopped } from '../../../trainer-image/stages/context.ts';
import { train } from '../../../trainer-image/train.ts';
import { listen, prepareTiny, writeTinyModel } from '../in-process.ts';

const tensors = [{ name: 'w', shape: [2], read: () => Float32Array.of(1, 2) }];
const state = (step: number) => ({ stage: 'Training' as const, step, plan: 'plan', figures: {} });

function newStore() {
  const folder = mkdtempSync(join(tmpdir(), 'store-'));
  const store = new CheckpointStore(folder, takeFence(folder, 'test'), () => {});
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
    else expect(new CheckpointStore(folder, takeFence(folder, 'next'), () => {}).newest('plan')?.step).toBe(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
    expect(checkpoints()).toContain('checkpoint-1-0000000001');
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
    await expect(train(run, 'test', listen(10))).rejects.toThrow(Stopped);
    expect(holdsCheckpoint(run.paths.checkpoints)).toBe(true);
    writeTinyModel(join(folder, 'models', 'tiny'), 2);
    await expect(train(run, 'test', listen())).rejects.toMatchObject({
      reason: 'CheckpointMismatch',
      message: expect.stringMatching(/made with another model/),
    });
  }, 60_000);
});
