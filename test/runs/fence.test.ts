import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { takeFence } from '../../trainer-image/checkpoint/fence.ts';
import { train } from '../../trainer-image/train.ts';
import { distinctBeats, listen, prepareTiny } from '../trainer-image/in-process.ts';

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'fence-'));

describe('of two trainers on one folder', () => {
  test('the later one holds it, and the earlier one learns who does', () => {
    const folder = newFolder();
    const earlier = takeFence(folder, 'pod-a');
    earlier.check();
    const later = takeFence(folder, 'pod-b');
    later.check();
    expect(() => earlier.check()).toThrow(/another trainer \(pod-b\) has taken over the checkpoint folder/);
    expect(later.generation).toBe(earlier.generation + 1);
  });

  test('neither holds it when its mark has been deleted', () => {
    const folder = newFolder();
    const fence = takeFence(folder, 'pod-a');
    rmSync(join(folder, `fence-${fence.generation}.json`));
    expect(() => fence.check()).toThrow(expect.objectContaining({ reason: 'Fenced' }));
  });

  test('the earlier one puts nothing in its place from the moment on that it is fenced, in whatever stage', async () => {
    const all = listen();
    await train(prepareTiny().run, 'calm', all);
    const files = (folder: string): string[] =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !entry.parentPath.includes('.partial') && !entry.name.endsWith('.partial'))
        .map((entry) => join(entry.parentPath, entry.name))
        .sort();
    const wrong: string[] = [];
    // The first beats come before a trainer has taken the folder at all, the last one after its last file.
    const first = all.beats.findIndex(({ stage }) => stage === 'SFT');
    for (const beat of distinctBeats(all).filter((each) => each > first && each < all.beats.length)) {
      const { folder, run } = prepareTiny();
      let [at, before]: [number, string[]] = [0, []];
      const heard = listen();
      const ended = await train(run, 'earlier', {
        ...heard,
        beat: () => {
          if (++at !== beat) return;
          takeFence(run.paths.checkpoints, 'later');
          before = files(folder);
        },
      }).catch((error: unknown) => error);
      const fenced = (ended as { reason?: string } | undefined)?.reason === 'Fenced';
      if (!fenced || files(folder).join() !== before.join()) {
        wrong.push(`${beat} of ${JSON.stringify(all.beats[beat - 1])}: ${String(ended)}, ${files(folder).join()}`);
      }
      rmSync(folder, { recursive: true });
    }
    expect(wrong).toEqual([]);
  }, 120_000);
});
