import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Metrics } from '../../crds/progress.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, tinyJob, type Heard } from '../trainer-image/in-process.ts';
import { exported } from '../trainer-image/small-run.ts';

/** The tiny job with other losses, and without its fine-tuning stage. */
const jobWith = (settings: string): string =>
  tinyJob
    .replace('  sft: { batchSize: 6, learningRate: 1e-2 }\n', '')
    .replace('training: { ', `training: { ${settings}, epochs: 2, `);

const figuresOf = ({ beats }: Heard): Metrics[] => beats.flatMap(({ metrics }) => (metrics ? [metrics] : []));

describe('a whole run', () => {
  const runs: [string, { atStart: number | undefined; reference: boolean }][] = [
    ['loss: [{ type: ipo }]', { atStart: 25, reference: true }],
    ['loss: [{ type: sigmoid, weight: 2 }, { type: hinge }]', { atStart: 2 * Math.LN2 + 1, reference: true }],
    ['loss: [{ type: aot }], ldAlpha: 0.5', { atStart: Math.LN2, reference: true }],
    ['loss: [{ type: sppo_hard }], beta: 0.5', { atStart: 2, reference: true }],
    ['loss: [{ type: orpo }]', { atStart: undefined, reference: false }],
    ['loss: [{ type: simpo }, { type: sft }], beta: 2', { atStart: undefined, reference: false }],
    ['loss: [{ type: sft }]', { atStart: undefined, reference: false }],
  ];
  test.each(runs)('with %s learns, from the loss that it must begin with', async (settings, expected) => {
    const { folder, run } = prepareTiny(jobWith(settings));
    const heard = listen();
    await train(run, 'test', heard);
    const figures = figuresOf(heard);
    const last = figures.findLast(({ firstStepLoss }) => firstStepLoss !== undefined);
    const [first, atZeroMargin] = [last?.firstStepLoss, last?.zeroMarginLoss] as [number, number];
    expect(first / atZeroMargin).toBeCloseTo(1, 5);
    expect(heard.warnings.map(([reason]) => reason)).not.toContain('FirstStepLoss');
    const held = figures.flatMap(({ evalLoss }) => (evalLoss === undefined ? [] : [evalLoss]));
    expect(held.at(-1)).toBeLessThan(held[0] as number);
    if (expected.atStart !== undefined) {
      expect(atZeroMargin / expected.atStart).toBeCloseTo(1, 6);
      expect((held[0] as number) / expected.atStart).toBeCloseTo(1, 5);
    }
    expect(figures.findLast(({ evalKL }) => evalKL !== undefined)?.evalKL).toBeGreaterThan(0);
    const [checkpoints] = readdirSync(join(folder, 'models', '.dpo'));
    const reference = join(folder, 'models', '.dpo', checkpoints as string, 'reference');
    expect(existsSync(reference)).toBe(expected.reference);
  });

  test('stopped at any beat of a batch that is scored first goes on to the same weights, bit for bit', async () => {
    const spec = jobWith('loss: [{ type: aot_unpaired }, { type: sft, weight: 0.1 }]');
    const whole = prepareTiny(spec);
    const heard = listen();
    await train(whole.run, 'test', heard);
    const inTraining = heard.beats.flatMap(({ stage }, i) => (stage === 'Training' ? [i + 1] : []));
    for (const at of inTraining.slice(0, 3)) {
      const { folder, run } = prepareTiny(spec);
      await expect(train(run, 'test', listen(at))).rejects.toThrow(Stopped);
      await train(run, 'test', listen());
      expect(exported(folder)).toBe(exported(whole.folder));
    }
  }, 30_000);
});
