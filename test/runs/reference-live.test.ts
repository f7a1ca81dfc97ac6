import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Metrics } from '../../crds/progress.ts';
import { SafetensorsFile } from '../../trainer-image/model/safetensors.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { sweepBetas } from '../../trainer-image/sweep.ts';
import { train } from '../../trainer-image/train.ts';
import { relativeDistance } from '../trainer-image/golden.ts';
import { listen, prepareTiny, tinyJob, type Heard } from '../trainer-image/in-process.ts';
import { exported } from '../trainer-image/small-run.ts';

const short = tinyJob.replace('batchSize: 6, microBatchTokens', 'batchSize: 4, epochs: 2, microBatchTokens');
const live = `${short}  reference: { precompute: false }\n`;
const synced = `${short}  reference: { precompute: false, syncSteps: 2, mixupAlpha: 0.5 }\n`;

async function run(spec: string): Promise<{ folder: string; heard: Heard }> {
  const { folder, run: prepared } = prepareTiny(spec);
  const heard = listen();
  await train(prepared, 'test', heard);
  return { folder, heard };
}
const weightsOf = (folder: string): Float32Array => {
  const file = new SafetensorsFile(join(folder, 'models', 'out', 'model.safetensors'));
  return Float32Array.from(file.names.toSorted().flatMap((name) => [...file.read(name).data]));
};
const first = ({ beats }: Heard, name: keyof Metrics): number | undefined =>
  beats.flatMap(({ metrics }) => metrics?.[name] ?? [])[0];

describe('a reference in memory', () => {
  test('is what fine-tuning left, and gives the result of a precomputed one but for rounding', async () => {
    const [inMemory, precomputed] = [await run(live), await run(short)];
    expect(first(inMemory.heard, 'firstStepLoss')).toBeCloseTo(Math.LN2, 5);
    expect(inMemory.heard.warnings.map(([reason]) => reason)).not.toContain('FirstStepLoss');
    expect(relativeDistance(weightsOf(inMemory.folder), weightsOf(precomputed.folder))).toBeLessThan(2e-5);
  }, 30_000);
});

describe('a synced reference', () => {
  test('ends elsewhere than one that stays', async () => {
    const [following, staying] = [await run(synced), await run(live)];
    expect(relativeDistance(weightsOf(following.folder), weightsOf(staying.folder))).toBeGreaterThan(3e-4);
  }, 30_000);

  test('that takes all of the policy leaves no margin; the KL is that against the start all the same', async () => {
    const { heard } = await run(synced.replace('syncSteps: 2, mixupAlpha: 0.5', 'syncSteps: 1, mixupAlpha: 1'));
    const last = heard.beats.findLast(({ metrics }) => metrics?.evalKL !== undefined)?.metrics;
    expect(last?.evalRewardMargin).toBeCloseTo(0, 6);
    expect(last?.evalLoss).toBeCloseTo(Math.LN2, 6);
    expect(last?.evalKL).toBeGreaterThan(1e-5);
  }, 30_000);

  test('goes on with a run that was stopped at any beat of its steps: the same weights, bit for bit', async () => {
    const calm = await run(synced);
    const inTraining = calm.heard.beats.flatMap(({ stage, step }, i) =>
      stage === 'Training' && (step ?? 0) >= 2 ? [i + 1] : [],
    );
    expect(inTraining.length).toBeGreaterThan(5);
    for (const at of inTraining.filter((_, i) => i % 3 === 0)) {
      const { folder, run: prepared } = prepareTiny(synced);
      await expect(train(prepared, 'test', listen(at))).rejects.toThrow(Stopped);
      await train(prepared, 'test', listen());
      expect(exported(folder)).toBe(exported(calm.folder));
      rmSync(folder, { recursive: true });
    }
  }, 60_000);

  test('has no sweep', async () => {
    const { run: prepared } = prepareTiny(synced);
    await expect(sweepBetas(prepared, 'test', listen(), { betas: [0.1], keep: false })).rejects.toThrow(
      /reference.syncSteps makes one of each/,
    );
  });
});
