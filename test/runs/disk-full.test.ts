import { readdirSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { exitCodes } from '../../crds/exit-codes.ts';
import { checkpointsOf, exported, prepare, signalAt, trainer } from '../trainer-image/small-run.ts';

test('a full disk ends the run with a clear error and keeps the last good checkpoint, from which it goes on', async () => {
  const calm = prepare();
  const folder = prepare();
  await Promise.all([
    trainer(calm),
    trainer(folder, signalAt(/checkpoint saved at step 2 of stage Training/, 'SIGKILL')),
  ]);
  const checkpoints = (): string[] => readdirSync(checkpointsOf(folder)).filter((name) => /checkpoint/.test(name));
  const before = checkpoints().filter((name) => !name.endsWith('.partial'));
  // A checkpoint has 8.5 MB.
  const full = await trainer(folder, undefined, { fileKilobytes: 5000 });
  expect([full.code, full.output]).toEqual([
    exitCodes.DiskFull,
    expect.stringMatching(/the checkpoint could not be written \(EFBIG\): free or enlarge the volume/),
  ]);
  expect(checkpoints()).toEqual(before);
  const freed = await trainer(folder);
  expect([freed.code, freed.output]).toEqual([0, expect.stringContaining('resuming at step')]);
  expect(exported(folder)).toBe(exported(calm));
}, 120_000);
