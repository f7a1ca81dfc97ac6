import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { SafetensorsFile, writeSafetensors } from '../../trainer-image/model/safetensors.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { checkFinite } from '../../trainer-image/stages/steps.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, shiftReference, tinyJob } from './in-process.ts';

// A machine that does other things too may take longer than jest's five seconds.

/** Numbers of a run that must not be passed over. */
const withoutSft = tinyJob.replace(/ {2}sft: .*\n/, '');

/** Every value of the last norm's weight becomes `value`. */
function setLastNorm(folder: string, value: number): void {
  const path = join(folder, 'models', 'tiny', 'model.safetensors');
  const file = new SafetensorsFile(path);
  const tensors = file.names.map((name) => file.read(name));
  file.close();
  tensors.find(({ name }) => name === 'model.norm.weight')?.data.fill(value);
  writeSafetensors(
    path,
    tensors.map(({ name, shape, data }) => ({ name, shape, read: () => data })),
  );
}

test.each([
  ['fine-tuning', tinyJob, /^step 1: loss (NaN|-?Infinity), gradient norm \S+; rows [\d, ]+\. Lower the learning rate/],
  ['the reference', withoutSft, /^before any preference training .* for rows [\d, ]+: its weights/],
])('weights that overflow float32 end %s by NonFinite, with the rows and nothing saved', async (_, job, message) => {
  const { folder, run } = prepareTiny(job);
  setLastNorm(folder, 3e38);
  await expect(train(run, 'test', listen())).rejects.toMatchObject({
    reason: 'NonFinite',
    message: expect.stringMatching(message),
  });
  expect(existsSync(join(run.paths.checkpoints, 'reference'))).toBe(false);
});

test.each([
  ['loss', { loss: NaN, gradNorm: 1 }],
  ['gradient', { loss: 1, gradNorm: Infinity }],
])('a step with a %s that is not finite names its rows', (_, figures) => {
  expect(() => checkFinite({ ...figures, step: 7 }, [3, 14])).toThrow(/^step 7: .*; rows 3, 14\./);
});

test('a first step whose policy and reference differ is warned of', async () => {
  const { run } = prepareTiny(withoutSft);
  const calm = listen();
  const untilTraining = {
    ...calm,
    beat: (part: Parameters<typeof calm.beat>[0]) => {
      if (part?.stage === 'Evaluating') throw new Stopped('stopped on request');
    },
  };
  await expect(train(run, 'test', untilTraining)).rejects.toThrow(Stopped);
  await shiftReference(run, -10);
  const heard = listen();
  await train(run, 'test', heard);
  const told = heard.warnings.filter(([reason]) => reason === 'FirstStepLoss');
  // Beta times the shift is 1, and -log sigmoid(1) is 0.3133.
  expect(told).toEqual([['FirstStepLoss', expect.stringMatching(/^the first step's loss is 0.3132\d+, not 0.6931/)]]);
  expect(calm.warnings.filter(([reason]) => reason === 'FirstStepLoss')).toEqual([]);
});

test('a first step of a sound run is not warned of', async () => {
  const heard = listen();
  await train(prepareTiny(withoutSft).run, 'test', heard);
  expect(heard.warnings.filter(([reason]) => reason === 'FirstStepLoss')).toEqual([]);
  expect(heard.beats.find(({ metrics }) => metrics?.firstStepLoss !== undefined)?.metrics?.firstStepLoss).toBeCloseTo(
    Math.LN2,
    5,
  );
});
