import { rmSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { train } from '../../trainer-image/train.ts';
import { exported } from '../trainer-image/small-run.ts';
import { distinctBeats, listen, prepareTiny, type Heard } from '../trainer-image/in-process.ts';

/** Trains until the `stopAt`th beat; returns whether the run ended by being stopped. */
async function stopped(run: Parameters<typeof train>[0], heard: Heard): Promise<boolean> {
  try {
    await train(run, 'test', heard);
    return false;
  } catch (error) {
    if (error instanceof Stopped) return true;
    throw error;
  }
}

test('a run that is stopped at any of its beats ends, when it goes on, with the same weights bit for bit', async () => {
  const calm = prepareTiny();
  const all = listen();
  await train(calm.run, 'test', all);
  const stages = new Set(all.beats.map(({ stage }) => stage).filter((stage) => stage !== undefined));
  expect([...stages]).toEqual([
    'Loading',
    'Data',
    'SFT',
    'Reference',
    'Evaluating',
    'Training',
    'Comparing',
    'Exporting',
    'Done',
  ]);
  const differing: string[] = [];
  for (const beat of distinctBeats(all)) {
    const { folder, run } = prepareTiny();
    // Once the model is exported the run is done, whatever is asked of it.
    const done = all.beats[beat - 1]?.stage === 'Done';
    expect(await stopped(run, listen(beat))).toBe(!done);
    if (!done) await train(run, 'test', listen());
    if (exported(folder) !== exported(calm.folder)) differing.push(`${beat} ${JSON.stringify(all.beats[beat - 1])}`);
    rmSync(folder, { recursive: true });
  }
  expect(differing).toEqual([]);
}, 120_000);
