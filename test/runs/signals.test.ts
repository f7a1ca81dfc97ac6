import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { takeFence } from '../../trainer-image/checkpoint/fence.ts';
import { History, type Entry } from '../../trainer-image/metrics/history.ts';
import type { ProgressPart } from '../../trainer-image/stages/context.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareMade, prepareTiny, tinyJob, type Heard } from '../trainer-image/in-process.ts';
import { signalJobs, trainApart, type SignalJob } from '../trainer-image/signal-jobs.ts';

/** Reasons of warnings that are not about the data. */
const dataWarnings = ['LeakingPrompts', 'LengthBias', 'LabelNoise', 'IdenticalAnswers'];
/** The lines of a history: what, after how many steps, and the loss. */
const losses = (file: string): [string, number, number | undefined][] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Entry)
    .map(({ kind, step, metrics: m }) => [kind, step, m.loss ?? m.evalLoss ?? m.sftLoss ?? m.evalSftLoss]);
/** Whoever listens to a run that is killed when a beat is as `fatal` says. */
function killer(fatal: (part: ProgressPart) => boolean): Heard {
  const heard = listen();
  const beat = (part: ProgressPart = {}): void => {
    heard.beat(part);
    if (fatal(part)) throw new Error('killed');
  };
  return { ...heard, beat };
}
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
    const stopped = killer(({ stage, step }) => stage === 'Training' && step === 3);
    await expect(train(killed.run, 'test', stopped)).rejects.toThrow('killed');
    appendFileSync(join(killed.run.paths.checkpoints, 'history.jsonl'), '{"kind":"train","st');
    await train(killed.run, 'test', listen());
    const ofRun = ({ run }: typeof calm): ReturnType<typeof losses> =>
      losses(join(run.paths.checkpoints, 'history.jsonl'));
    expect(ofRun(killed)).toEqual(ofRun(calm));
    expect(ofRun(calm)).toHaveLength(9);
  }, 30_000);

  test("has fine-tuning's steps too, killed in them or after them, and the report their curve", async () => {
    const spec = tinyJob.replace('sft: {', 'sft: { epochs: 3,').replace('everySteps: 100', 'everySteps: 2');
    const calm = prepareTiny(spec);
    await train(calm.run, 'test', listen());
    const killed = prepareTiny(spec);
    const inTuning = killer(({ stage, stageStep }) => stage === 'SFT' && stageStep === 3);
    await expect(train(killed.run, 'test', inTuning)).rejects.toThrow('killed');
    const after = killer(({ stage }) => stage === 'Training');
    await expect(train(killed.run, 'test', after)).rejects.toThrow('killed');
    await train(killed.run, 'test', listen());
    const ofRun = ({ run }: typeof calm): ReturnType<typeof losses> =>
      losses(join(run.paths.checkpoints, 'history-sft.jsonl'));
    expect(ofRun(killed)).toEqual(ofRun(calm));
    expect(ofRun(calm).filter(([kind]) => kind === 'train')).toHaveLength(6);
    const curves = ({ run }: typeof calm): unknown =>
      /Fine-tuning loss[^]*?<\/svg>/.exec(readFileSync(join(run.paths.output, 'report.html'), 'utf8'))?.[0];
    expect(curves(killed)).toMatch(/<svg/);
    expect(curves(killed)).toBe(curves(calm));
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
