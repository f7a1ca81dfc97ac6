import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { train } from '../../trainer-image/train.ts';
import { exchanged, listen, prepareMade, tinyJob, type Heard } from '../trainer-image/in-process.ts';
import { exported } from '../trainer-image/small-run.ts';

/** Held out is the contrary of what is trained: its loss rises from the first evaluation on. */
const overfits = tinyJob
  .replace('  sft: { batchSize: 6, learningRate: 1e-2 }\n', '')
  .replace('learningRate: 1e-2,', 'learningRate: 1e-2, schedule: constant, epochs: 20,')
  .replace('evaluation: { everySteps: 1,', 'evaluation: { everySteps: 2, earlyStopping: { patience: 2 },')
  .replace('holdout: 0.2', 'evalSource: pvc://data/contrary.jsonl')
  .replace('everySteps: 100', 'everySteps: 3');

const prepareContrary = (spec = overfits) => prepareMade(spec, (rows) => ({ contrary: exchanged(rows.slice(0, 4)) }));

/** A run that dies at its `at`th beat: nothing is saved on the way. */
function dieAt(at: number): Heard {
  const heard = listen();
  return {
    ...heard,
    beat: (part = {}) => {
      heard.beat(part);
      if (heard.beats.length >= at) throw new Error('killed');
    },
  };
}

type Beat = Heard['beats'][number];

/** The last word of a run on a part of its progress. */
const lastOf = <K extends 'best' | 'stoppedEarly' | 'step'>({ beats }: Heard, key: K) =>
  beats.findLast((beat) => beat[key] !== undefined)?.[key];

describe('a run with early stopping', () => {
  const calm = prepareContrary(overfits);
  const all = listen();
  let best = 0;
  beforeAll(async () => {
    await train(calm.run, 'test', all);
    best = lastOf(all, 'best')?.step as number;
  }, 30_000);

  test('ends when two evaluations have not improved on the best, says why, and exports the best', () => {
    const losses = new Map(
      all.beats.flatMap((beat) => (beat.metrics?.evalLoss === undefined ? [] : [[beat.step, beat.metrics.evalLoss]])),
    );
    losses.delete(0);
    const least = Math.min(...(losses.values() as Iterable<number>));
    expect([losses.get(best), lastOf(all, 'best')]).toEqual([
      least,
      { step: best, metric: 'evalLoss', value: least, exported: true },
    ]);
    expect(lastOf(all, 'stoppedEarly')).toEqual({
      step: best + 4,
      message: `evalLoss did not improve in 2 evaluations: its best is ${least.toPrecision(4)}, of step ${best}`,
    });
    expect(lastOf(all, 'step')).toBe(best + 4);
  });

  test('describes the exported step in its report and its log, not the last one', () => {
    const shown = String(Number(lastOf(all, 'best')?.value.toPrecision(4)));
    const page = readFileSync(join(calm.run.paths.output, 'report.html'), 'utf8');
    expect(page).toContain(`<b>${shown}</b><span>held-out loss</span>`);
    expect(page).toMatch(/Loss: sigmoid, with beta [\d.]+; it begins at 0.6931, and 0.6931 where/);
    expect(page).toMatch(/Held-out accuracy went from 50 % [^]*Next: /);
    expect(all.infos.join('\n')).toContain(
      `exporting the weights of step ${best}, the best by evalLoss; held out: loss ${shown}`,
    );
  });

  test('ends with the figures of the exported step, not of the last one', () => {
    const told = all.beats.flatMap(({ metrics }) => metrics?.evalLoss ?? []);
    expect(told.at(-1)).toBe(lastOf(all, 'best')?.value);
    expect(told.at(-2)).not.toBe(told.at(-1));
  });

  test('tells no accuracy before the first step, when no pair is won or lost, and then with every evaluation', () => {
    const told = all.beats.flatMap(({ step, metrics }) => (metrics?.evalLoss === undefined ? [] : [{ step, metrics }]));
    expect(told[0]).toMatchObject({ step: 0, metrics: { evalLoss: expect.closeTo(Math.LN2, 4) } });
    for (const { step, metrics } of told)
      expect([step, metrics.evalRewardAccuracy !== undefined]).toEqual([step, step !== 0]);
  });

  test('keeps the weights of the best step besides the newest checkpoints', () => {
    const [uid] = readdirSync(join(calm.folder, 'models', '.dpo')) as [string];
    const kept = readdirSync(join(calm.folder, 'models', '.dpo', uid));
    expect(kept.filter((name) => name.startsWith('checkpoint'))).toHaveLength(2);
    const [name] = readdirSync(join(calm.folder, 'models', '.dpo', uid, 'best'));
    expect(name).toBe(`checkpoint-1-${String(best).padStart(10, '0')}`);
  });

  test('exports what a run of so many steps ends with, bit for bit', async () => {
    const { folder, run } = prepareContrary(overfits.replace('epochs: 20', `maxSteps: ${best}`));
    await train(run, 'test', listen());
    expect(exported(folder)).toBe(exported(calm.folder));
  });

  test('that ends by itself at the step in which patience runs out did not stop early', async () => {
    const { run } = prepareContrary(overfits.replace('epochs: 20', `maxSteps: ${best + 4}`));
    const heard = listen();
    await train(run, 'test', heard);
    expect(lastOf(heard, 'step')).toBe(best + 4);
    expect(lastOf(heard, 'stoppedEarly')).toBeUndefined();
  });

  const moments: [string, (beat: Beat) => boolean][] = [
    ['in the first evaluation', ({ stage, step }) => stage === 'Evaluating' && step === 2],
    ['with the best known', ({ best: said }) => said?.step === 2],
    ['in a step that no checkpoint holds', ({ stage, step }) => stage === 'Training' && step === 5],
    ['in the last evaluation', ({ stage, step }) => stage === 'Evaluating' && step === 6],
    ['with the end decided', ({ stoppedEarly }) => stoppedEarly !== undefined],
    ['before the export', ({ stage }) => stage === 'Exporting'],
  ];
  test.each(moments)(
    'stopped or killed %s decides the same when it goes on',
    async (_, moment) => {
      const beat = all.beats.findIndex(moment) + 1;
      expect(beat).toBeGreaterThan(0);
      for (const end of [listen(beat), dieAt(beat)]) {
        const { folder, run } = prepareContrary();
        await expect(train(run, 'test', end)).rejects.toThrow(/^(stopped on request|killed)$/);
        const heard = listen();
        await train(run, 'test', heard);
        expect([exported(folder), lastOf(heard, 'stoppedEarly')?.step]).toEqual([exported(calm.folder), best + 4]);
      }
    },
    30_000,
  );

  test('exports the last weights where the job says so', async () => {
    const { folder, run } = prepareContrary(
      overfits.replace('patience: 2 }', 'patience: 2 }, loadBestModelAtEnd: false'),
    );
    const heard = listen();
    await train(run, 'test', heard);
    expect(exported(folder)).not.toBe(exported(calm.folder));
    expect(lastOf(heard, 'best')).toMatchObject({ step: best, exported: false });
  });

  test('exports the last weights, with a warning, when the best ones are damaged', async () => {
    const { folder, run } = prepareContrary(overfits);
    const exporting = all.beats.findIndex(({ stage }) => stage === 'Exporting') + 1;
    await expect(train(run, 'test', listen(exporting))).rejects.toThrow();
    const [uid] = readdirSync(join(folder, 'models', '.dpo')) as [string];
    rmSync(join(folder, 'models', '.dpo', uid, 'best'), { recursive: true });
    const heard = listen();
    await train(run, 'test', heard);
    expect(heard.warnings.map(([reason]) => reason)).toContain('BestCheckpointLost');
  });

  test('needs held-out pairs, and says so before any training', async () => {
    const heard = listen();
    const { run } = prepareContrary(overfits.replace('evalSource: pvc://data/contrary.jsonl', 'holdout: 0.001'));
    await expect(train(run, 'test', heard)).rejects.toThrow(
      /evaluation.earlyStopping and loadBestModelAtEnd need held-out/,
    );
    expect(heard.beats.some(({ stage }) => stage === 'Training')).toBe(false);
  });
});
