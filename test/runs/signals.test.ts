import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { takeFence } from '../../trainer-image/checkpoint/fence.ts';
import { History, type Entry } from '../../trainer-image/metrics/history.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareMade, prepareTiny, type Heard } from '../trainer-image/in-process.ts';
import { signalJobs, trainApart, type SignalJob } from '../trainer-image/signal-jobs.ts';

/** Reasons of warnings that are not about the data. */
const dataWarnings = ['LeakingPrompts', 'LengthBias', 'LabelNoise', 'IdenticalAnswers'];
const signalsIn = ({ warnings }: Heard): string[] =>
  warnings.map(([reason]) => reason).filter((reason) => !dataWarnings.includes(reason));

describe('the curves of a run', () => {
  test.each(Object.entries(signalJobs) as [string, SignalJob][])(
    'on data made for %s warn of it, once, and of nothing else',
    async (reason, { spec, make }) => {
      const heard = listen();
      await train(prepareMade(spec, make).run, 'test', heard);
      expect(signalsIn(heard)).toEqual([reason]);
    },
    30_000,
  );

  test('that begin with policy and reference apart warn of the first step', async () => {
    expect(signalsIn(await trainApart())).toContain('FirstStepLoss');
  }, 30_000);
});

describe('the history of a run', () => {
  test('has every step once, whenever the run was killed, and a line cut short does no harm', async () => {
    const { spec, make } = signalJobs.HeldOutLossRising;
    const calm = prepareMade(spec, make);
    await train(calm.run, 'test', listen());
    const killed = prepareMade(spec.replace('everySteps: 100', 'everySteps: 2'), make);
    const stopped = listen();
    const beat = (part?: Parameters<Heard['beat']>[0]): void => {
      stopped.beat(part);
      if (part?.stage === 'Training' && part.step === 3) throw new Error('killed');
    };
    await expect(train(killed.run, 'test', { ...stopped, beat })).rejects.toThrow('killed');
    appendFileSync(join(killed.run.paths.checkpoints, 'history.jsonl'), '{"kind":"train","st');
    await train(killed.run, 'test', listen());
    const losses = (folder: string): unknown[] =>
      readFileSync(join(folder, 'history.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Entry)
        .map(({ kind, step, metrics }) => [kind, step, metrics.loss ?? metrics.evalLoss]);
    expect(losses(killed.run.paths.checkpoints)).toEqual(losses(calm.run.paths.checkpoints));
    expect(losses(calm.run.paths.checkpoints)).toHaveLength(9);
  }, 30_000);

  test('is kept in memory as it is in the file', () => {
    const { run } = prepareTiny();
    takeFence(run.paths.checkpoints, 'test');
    const file = join(run.paths.checkpoints, 'history.jsonl');
    const first = new History(file);
    first.add('train', 1, { loss: 0.5, gradNorm: NaN });
    first.add('train', 2, { loss: 0.4 });
    first.add('heldOut', 2, { evalLoss: 0.6 });
    const again = new History(file);
    again.resumeAt(1, () => {});
    expect(again.entries).toEqual([{ kind: 'train', step: 1, metrics: { loss: 0.5 } }]);
  });
});
