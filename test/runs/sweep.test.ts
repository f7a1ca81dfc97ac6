import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { readBetas, sweepRun } from '../../trainer-image/config.ts';
import { sweepTable } from '../../trainer-image/console.ts';
import type { Sweep } from '../../trainer-image/metrics/choose-beta.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { runBefore, sweepBetas, sweepEnd } from '../../trainer-image/sweep.ts';
import { train } from '../../trainer-image/train.ts';
import { distinctBeats, listen, prepareTiny, tinyJob, tinyRun, type Heard } from '../trainer-image/in-process.ts';

const betas = [0.05, 0.5];
const withoutSft = tinyJob.replace('  sft: { batchSize: 6, learningRate: 1e-2 }\n', '');

/** The exported weights of a run, by the name of its output. */
const weightsOf = (folder: string, output: string): string =>
  readFileSync(join(folder, 'models', output, 'model.safetensors')).toString('base64');
const modelsOf = (folder: string): string[] => readdirSync(join(folder, 'models')).filter((name) => name !== '.dpo');

describe('a sweep over two betas', () => {
  const { folder, run } = prepareTiny();
  const heard = listen();
  let sweep: Sweep;
  beforeAll(async () => {
    sweep = await sweepBetas(run, 'test', heard, { betas, keep: true });
  }, 30_000);

  test('gives the held-out figures of each, in the order asked for, and chooses one of them', () => {
    expect(sweep.results.map(({ beta }) => beta)).toEqual(betas);
    for (const result of sweep.results) {
      expect(Object.values(result).every((value) => Number.isFinite(value))).toBe(true);
    }
    expect(betas).toContain(sweep.choice.beta);
  });

  test('tells how far the chosen answers came from where the policy started', () => {
    const told = heard.beats.flatMap(({ metrics }) => metrics?.evalLogpsChosen ?? []);
    const change = (told.at(-1) as number) - (told[0] as number);
    expect(sweep.results.at(-1)?.chosenLogProbChange).toBeCloseTo(change, 5);
    expect(Math.abs(change)).toBeGreaterThan(1e-4);
  });

  test('fine-tunes once and computes the reference once', () => {
    const stages = heard.beats.flatMap(({ stage }) => stage ?? []);
    const runs = (stage: string): number =>
      stages.filter((each, i) => each === stage && stages[i - 1] !== stage).length;
    expect([runs('SFT'), runs('Reference'), runs('Done')]).toEqual([1, 1, 1]);
  });

  test('counts its steps over all betas', () => {
    const counted = heard.beats.flatMap(({ stage, step, totalSteps }) =>
      stage === 'Training' ? [[step, totalSteps]] : [],
    );
    const [last, total] = counted.at(-1) as [number, number];
    expect(last).toBe(total);
    expect(counted.map(([step]) => step)).toEqual(counted.map(([step]) => step as number).toSorted((a, b) => a - b));
  });

  test('exports beside the output, bit for bit what a run of the job with that beta exports', async () => {
    expect(modelsOf(folder)).toEqual(['out-beta-0.05', 'out-beta-0.5', 'tiny']);
    for (const beta of betas) {
      const alone = prepareTiny(tinyJob.replace('training: {', `training: { beta: ${beta},`));
      await train(alone.run, 'test', listen());
      expect(weightsOf(folder, `out-beta-${beta}`)).toBe(weightsOf(alone.folder, 'out'));
    }
  });

  test('is done at once when it is asked for again', async () => {
    const again = listen();
    expect(await sweepBetas(run, 'test', again, { betas, keep: true })).toEqual(sweep);
    expect(again.beats.map(({ stage }) => stage)).not.toContain('Training');
  });

  test('trains only what is new when another beta is added', async () => {
    const again = listen();
    const more = await sweepBetas(run, 'test', again, { betas: [...betas, 0.1], keep: false });
    expect(more.results.slice(0, 2)).toEqual(sweep.results);
    expect(again.infos.filter((info) => info.endsWith('is done already'))).toHaveLength(2);
    expect(modelsOf(folder)).not.toContain('out-beta-0.1');
  });
});

test('a sweep that keeps adapters is done at once when it is asked for again, and its models are not trained anew', async () => {
  const adapters = withoutSft
    .replace('training: {', 'training: { lora: { rank: 2 },')
    .replace('pvc://models/out', 'pvc://models/out, format: adapter');
  const { run } = prepareTiny(adapters);
  const sweep = await sweepBetas(run, 'test', listen(), { betas, keep: true });
  const again = listen();
  expect(await sweepBetas(run, 'test', again, { betas, keep: true })).toEqual(sweep);
  expect(again.beats.map(({ stage }) => stage)).not.toContain('Training');
  rmSync(join(`${run.paths.output}-beta-0.5`, 'adapter_model.safetensors'));
  const remade = listen();
  expect(await sweepBetas(run, 'test', remade, { betas, keep: true })).toEqual(sweep);
  expect(remade.infos.filter((info) => info.endsWith('is done already'))).toEqual(['beta 0.05 is done already']);
}, 30_000);

test('the higher beta holds the policy nearer to the reference', async () => {
  const longer = withoutSft
    .replace('training: {', 'training: { epochs: 20, schedule: constant,')
    .replace('everySteps: 1 ', 'everySteps: 100 ');
  const { run } = prepareTiny(longer);
  const { results } = await sweepBetas(run, 'test', listen(), { betas: [0.1, 10], keep: false });
  const [low, high] = results as [Sweep['results'][number], Sweep['results'][number]];
  expect(high.kl).toBeGreaterThan(0);
  expect(low.kl).toBeGreaterThan(2 * high.kl);
}, 30_000);

/** Sweeps until the `stopAt`th beat; returns whether it was stopped. */
async function stopped(run: Parameters<typeof sweepBetas>[0], heard: Heard, keep: boolean): Promise<boolean> {
  try {
    await sweepBetas(run, 'test', heard, { betas, keep });
    return false;
  } catch (error) {
    if (error instanceof Stopped) return true;
    throw error;
  }
}

test('a sweep that is stopped ends, when it goes on, with the same figures and the same weights', async () => {
  const calm = prepareTiny(withoutSft);
  const all = listen();
  const expected = await sweepBetas(calm.run, 'test', all, { betas, keep: true });
  const differing: number[] = [];
  // The first beats are those of an ordinary run, which is stopped at each of them in a test of its own; of the rest some.
  const first = all.beats.findIndex(({ stage }) => stage === 'Training');
  const beats = distinctBeats(all).filter((beat, i) => beat > first && i % 4 === 0);
  for (const beat of beats) {
    const { folder, run } = prepareTiny(withoutSft);
    const done = all.beats[beat - 1]?.stage === 'Done';
    expect(await stopped(run, listen(beat), true)).toBe(!done);
    const found = await sweepBetas(run, 'test', listen(), { betas, keep: true });
    const same = betas.every(
      (beta) => weightsOf(folder, `out-beta-${beta}`) === weightsOf(calm.folder, `out-beta-${beta}`),
    );
    if (!same || JSON.stringify(found) !== JSON.stringify(expected)) differing.push(beat);
    rmSync(folder, { recursive: true });
  }
  expect(differing).toEqual([]);
}, 120_000);

test('the beta that a sweep advises is set in the same manifest, which then trains as without a sweep, and may sweep again', async () => {
  const withBeta = (beta: number): string => tinyJob.replace('training: {', `training: { beta: ${beta},`);
  const { folder, run } = prepareTiny(withBeta(0.1));
  const sweep = await sweepBetas(sweepRun(run), 'test', listen(), { betas, keep: false });
  expect(runBefore(sweepRun(run))).toBeUndefined();
  await train(tinyRun(folder, withBeta(0.5)), 'test', listen());
  expect(runBefore(sweepRun(run))).toEqual({ folder: run.paths.checkpoints, beta: 0.5 });
  const alone = prepareTiny(withBeta(0.5));
  await train(alone.run, 'test', listen());
  expect(weightsOf(folder, 'out')).toBe(weightsOf(alone.folder, 'out'));
  const again = listen();
  const more = await sweepBetas(sweepRun(tinyRun(folder, withBeta(0.5))), 'test', again, {
    betas: [...betas, 0.1],
    keep: false,
  });
  expect(more.results.slice(0, 2)).toEqual(sweep.results);
  expect(again.infos.filter((info) => info.endsWith('is done already'))).toHaveLength(2);
}, 30_000);

test('a sweep ends with what was exported, and with how its advice is followed', () => {
  const sweep = { results: [], choice: { beta: 0.5, reason: '' } };
  const next = 'to go on with beta 0.5, set spec.training.beta to it and run the job without --betas';
  expect(sweepEnd('pvc://models/out', sweep, { betas, keep: false })).toBe(
    `2 betas are compared; no model was exported (--keep does); ${next}`,
  );
  expect(sweepEnd('pvc://models/out/', sweep, { betas, keep: true })).toBe(
    `2 betas are compared; the models are in pvc://models/out-beta-0.05, pvc://models/out-beta-0.5; ${next}`,
  );
});

test.each([
  [
    0.1,
    'set spec.training.beta to it and run the job without --betas; it has been run with another beta already, so also ' +
      'set another metadata.name and another output.source, or remove the folder /old to begin anew under this name',
  ],
  [0.5, 'beta 0.5 is what the job has been run with already'],
])('a sweep whose job has been run with beta %d says how its advice of 0.5 is followed all the same', (beta, told) => {
  const sweep = { results: [], choice: { beta: 0.5, reason: '' } };
  const end = sweepEnd('pvc://models/out', sweep, { betas, keep: false, before: { folder: '/old', beta } });
  expect(end.endsWith(told)).toBe(true);
});

test('a sweep without --keep exports nothing and leaves no checkpoint of a beta', async () => {
  const { folder, run } = prepareTiny();
  await sweepBetas(run, 'test', listen(), { betas, keep: false });
  expect(modelsOf(folder)).toEqual(['tiny']);
  for (const beta of betas) {
    const names = readdirSync(join(run.paths.checkpoints, `beta-${beta}`)).filter((name) =>
      name.startsWith('checkpoint'),
    );
    expect(names).toEqual([]);
  }
});

test('a sweep whose fine-tuned weights were damaged stops, and makes them anew when it is started again', async () => {
  const { run } = prepareTiny();
  const info = (message: string): void => {
    if (!message.startsWith('beta 0.5')) return;
    const start = join(run.paths.checkpoints, 'start');
    for (const name of readdirSync(start)) writeFileSync(join(start, name, 'tensors.safetensors'), 'damaged');
  };
  await expect(sweepBetas(run, 'test', { ...listen(), info }, { betas, keep: false })).rejects.toThrow(
    /fine-tuning left are damaged/,
  );
  const whole = prepareTiny();
  const expected = await sweepBetas(whole.run, 'test', listen(), { betas, keep: false });
  expect(await sweepBetas(run, 'test', listen(), { betas, keep: false })).toEqual(expected);
}, 30_000);

test('a sweep of a loss without a reference compares with the weights at the start, too', async () => {
  const { run } = prepareTiny(withoutSft.replace('training: {', 'training: { loss: [{ type: orpo }],'));
  const { results } = await sweepBetas(run, 'test', listen(), { betas, keep: false });
  for (const { kl, chosenLogProbChange } of results) {
    expect(kl).toBeGreaterThan(0);
    expect(chosenLogProbChange).toBeGreaterThan(0);
  }
}, 30_000);

test('a sweep needs held-out pairs, and says so before it trains', async () => {
  const { run } = prepareTiny(tinyJob.replace('holdout: 0.2', 'holdout: 0'));
  const heard = listen();
  await expect(sweepBetas(run, 'test', heard, { betas, keep: false })).rejects.toThrow(
    '--betas needs held-out pairs to compare by: raise dataset.holdout or set dataset.evalSource',
  );
  expect(heard.beats.map(({ stage }) => stage)).not.toContain('SFT');
});

test('a sweep of a loss that reads no beta is refused before anything is loaded', async () => {
  const { run } = prepareTiny(withoutSft.replace('training: {', 'training: { loss: [{ type: sft }],'));
  const heard = listen();
  await expect(sweepBetas(run, 'test', heard, { betas, keep: false })).rejects.toMatchObject({
    reason: 'InvalidConfiguration',
    message: '--betas changes nothing where sft is the only loss of training.loss: leave it out',
  });
  expect(heard.beats).toEqual([]);
});

test('a beta whose output would be the model is refused before anything is written', async () => {
  const { folder, run } = prepareTiny(tinyJob.replace('pvc://models/out', 'pvc://models/ti'));
  run.paths.model = join(folder, 'models', 'ti-beta-0.5');
  await expect(sweepBetas(run, 'test', listen(), { betas, keep: true })).rejects.toThrow(/must not be the folder of/);
});

describe('--betas', () => {
  test('is a list of numbers', () => {
    expect(readBetas('0.05, 0.1,1')).toEqual([0.05, 0.1, 1]);
  });
  test.each([
    ['0.1,', "--betas: '' is not a number above 0 and at most 1000"],
    ['0.1,zero', "--betas: 'zero' is not a number"],
    ['0', "--betas: '0' is not a number above 0"],
    ['-1', "--betas: '-1' is not a number above 0"],
    ['0.1,0.10', "--betas: '0.1,0.10' has a beta twice"],
  ])('%s is refused', (text, message) => {
    expect(() => readBetas(text)).toThrow(message);
  });
});

test('a sweep is shown as a table, with the choice and its reason', () => {
  const results = [
    { beta: 0.05, loss: 0.51234, accuracy: 0.75, margin: 0.5, kl: 0.123456, chosenLogProbChange: 1.5 },
    { beta: 0.5, loss: 0.6, accuracy: 0.7, margin: 0.25, kl: 0.01, chosenLogProbChange: -12.25 },
  ];
  expect(sweepTable({ results, choice: { beta: 0.5, reason: 'it is near' } })).toBe(
    [
      'beta    loss  accuracy  margin      KL  chosen log-prob',
      '0.05  0.5123     0.750   0.500   0.123            +1.50',
      ' 0.5  0.6000     0.700   0.250  0.0100            -12.3',
      '',
      'beta 0.5: it is near',
    ].join('\n'),
  );
});
