import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { exitCodes } from '../../crds/exit-codes.ts';
import { progressSchema, terminationMessageSchema } from '../../crds/progress.ts';
import { holdsCheckpoint } from '../../trainer-image/checkpoint/store.ts';
import { counters, gaugeNames, histograms } from '../../trainer-image/metrics/names.ts';
import { SafetensorsFile } from '../../trainer-image/model/safetensors.ts';
import { goldenFolder } from '../trainer-image/golden.ts';
import {
  checkpointsOf,
  exported,
  job,
  prepare,
  signalAt,
  signalIn,
  trainer,
  type Ended,
  type Watch,
} from '../trainer-image/small-run.ts';
import { checkpoint, reference, type Case } from '../trainer-image/tiny-models.ts';

describe('a run', () => {
  let undisturbed: { folder: string; ended: Ended; weights: string };
  const seen: { metrics: string; progress: unknown; health: string }[] = [];

  beforeAll(async () => {
    const folder = prepare();
    let asked = false;
    const ask = async (port: string): Promise<void> => {
      const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
      const [health, progress, metrics] = [await get('/healthz'), await get('/progress'), await get('/metrics')];
      seen.push({ health, progress: JSON.parse(progress), metrics });
    };
    const watch: Watch = (output) => {
      const port = /metrics on port (\d+)/.exec(output)?.[1];
      if (asked || port === undefined || !/"stage":"Training","stageStep":2/.test(output)) return;
      asked = true;
      void ask(port);
    };
    const ended = await trainer(folder, watch, {
      more: ['--termination-log', join(folder, 'termination-log')],
    });
    undisturbed = { folder, ended, weights: ended.code === 0 ? exported(folder) : '' };
  }, 120_000);

  test('ends with the exported model, complete', () => {
    expect([undisturbed.ended.code, undisturbed.ended.output]).toEqual([
      exitCodes.Complete,
      expect.stringContaining('"Complete"'),
    ]);
    const files = readdirSync(join(undisturbed.folder, 'models', 'out')).toSorted();
    expect(files).toEqual([
      'chat_template.jinja',
      'config.json',
      'dpo-job.json',
      'generation_config.json',
      'model.safetensors',
      'report.html',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const [before, after] = [`${goldenFolder}/tiny`, join(undisturbed.folder, 'models', 'out')].map(
      (folder) => new SafetensorsFile(join(folder, 'model.safetensors')),
    ) as [SafetensorsFile, SafetensorsFile];
    expect(after.names.toSorted()).toEqual(before.names.toSorted());
    for (const name of after.names) expect(after.read(name).shape).toEqual(before.read(name).shape);
  });

  test('begins with a loss of ln 2 and learns', () => {
    const last = undisturbed.ended.output.split('\n').findLast((line) => line.includes('"evalLoss"')) as string;
    const figures = JSON.parse(last) as Record<string, number>;
    expect(figures['firstStepLoss']).toBeCloseTo(Math.LN2, 4);
    expect(figures['evalLoss']).toBeLessThan(Math.LN2);
    expect(figures['evalKL']).toBeGreaterThan(0);
    expect(figures['evalSftLoss']).toBeGreaterThan(0);
  });

  test('answers while it trains: health, progress by the contract, metrics by their names', () => {
    expect(seen).toHaveLength(1);
    const [{ health, progress, metrics }] = seen as [(typeof seen)[number]];
    expect(health).toBe('ok\n');
    expect(progressSchema.parse(progress)).toMatchObject({ stage: expect.any(String), totalSteps: 6 });
    for (const name of [gaugeNames.loss, gaugeNames.beta, gaugeNames.rewardMargin, gaugeNames.evalKL]) {
      expect(metrics).toMatch(new RegExp(`^${name}\\{namespace="default",dpojob="small"\\} `, 'm'));
    }
    for (const name of [counters.tokens.name, counters.checkpoints.name, `${histograms.step.name}_count`]) {
      expect(metrics).toMatch(new RegExp(`^${name}\\{[^}]*stage="SFT"[^}]*\\} [1-9]`, 'm'));
    }
  });

  test('leaves its last record and the reason of its end as the termination message', () => {
    const text = readFileSync(join(undisturbed.folder, 'termination-log'), 'utf8');
    const record = terminationMessageSchema.parse(JSON.parse(text));
    expect(record).toMatchObject({
      reason: 'Complete',
      progress: { stage: 'Done', step: 6, percent: 100, output: { source: 'pvc://models/out' } },
    });
    expect(record.progress?.output?.digest).toBe(`sha256:${undisturbed.weights}`);
  });

  const kills: [string, NodeJS.Signals, (signal: NodeJS.Signals) => Watch][] = [
    ['stopped before its thread has begun', 'SIGTERM', (signal) => signalAt(/metrics on port/, signal)],
    ['killed while it reads the data', 'SIGKILL', (signal) => signalAt(/model loaded/, signal)],
    ['stopped while it reads the data', 'SIGTERM', (signal) => signalAt(/model loaded/, signal)],
    ['killed in fine-tuning', 'SIGKILL', (signal) => signalAt(/checkpoint saved at step 2 of stage SFT/, signal)],
    ['stopped in fine-tuning', 'SIGTERM', (signal) => signalAt(/checkpoint saved at step 2 of stage SFT/, signal)],
    ['stopped in the reference pass', 'SIGTERM', (signal) => signalIn('Reference', signal)],
    ['killed after the reference pass', 'SIGKILL', (signal) => signalAt(/the reference finds/, signal)],
    ['killed in training', 'SIGKILL', (signal) => signalAt(/"stage":"Training","stageStep":3/, signal)],
    ['stopped in training', 'SIGTERM', (signal) => signalAt(/"stage":"Training","stageStep":3/, signal)],
    ['killed in an evaluation', 'SIGKILL', (signal) => signalIn('Evaluating', signal)],
    ['killed at the end of training', 'SIGKILL', (signal) => signalAt(/saved at step 6 of stage Training/, signal)],
    ['killed in the export', 'SIGKILL', (signal) => signalIn('Exporting', signal)],
  ];
  test.each(kills)(
    '%s ends, when it is started again, with the same weights bit for bit',
    async (when, signal, watch) => {
      const folder = prepare();
      const output = join(folder, 'models', 'out');
      const pipe = join(output, 'model.safetensors.partial');
      if (when === 'killed in the export') {
        // Nobody reads from this pipe: there the export waits until it is killed.
        mkdirSync(output);
        execFileSync('mkfifo', [pipe]);
      }
      const first = await trainer(folder, watch(signal));
      const saved = holdsCheckpoint(checkpointsOf(folder));
      if (signal === 'SIGTERM') expect(first.code).toBe(saved ? exitCodes.Saved : exitCodes.Terminated);
      else expect([first.code, first.signal]).not.toEqual([0, null]);
      if (when === 'stopped before its thread has begun') expect(saved).toBe(false);
      rmSync(pipe, { force: true });
      const second = await trainer(folder);
      expect([second.code, second.output]).toEqual([0, expect.any(String)]);
      expect(exported(folder)).toBe(undisturbed.weights);
    },
    120_000,
  );

  test('passes over a damaged checkpoint with a message and goes on from the last good one', async () => {
    const folder = prepare();
    await trainer(folder, signalAt(/checkpoint saved at step 4 of stage Training/, 'SIGKILL'));
    const checkpoints = checkpointsOf(folder);
    const newest = readdirSync(checkpoints)
      .filter((name) => name.startsWith('checkpoint-1'))
      .toSorted()
      .at(-1) as string;
    const file = join(checkpoints, newest, 'tensors.safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    writeFileSync(file, bytes);
    const second = await trainer(folder);
    expect(second.output).toMatch(/passed over: its digest is not the one/);
    expect([second.code, exported(folder)]).toEqual([0, undisturbed.weights]);
  }, 120_000);

  test.each([
    [
      'another beta',
      job.replace('learningRate: 1e-3', 'learningRate: 1e-3, beta: 0.5'),
      exitCodes.CheckpointMismatch,
      /another plan \(training[.]beta was 0[.]1 and is 0[.]5\): set another metadata[.]name and another output[.]source, or remove the folder/,
    ],
    [
      'a missing model',
      job.replace('models/tiny', 'models/none'),
      exitCodes.InvalidConfiguration,
      /spec.model.source: pvc:\/\/models\/none is not there/,
    ],
    [
      'a model folder that holds none',
      job.replace('pvc://models/tiny', 'pvc://data'),
      exitCodes.InvalidConfiguration,
      /config.json is missing: is this a Hugging Face checkpoint/,
    ],
    [
      'a missing data set',
      job.replace('pairs.jsonl', 'none.jsonl'),
      exitCodes.InvalidData,
      /spec.dataset: .*none.jsonl is not there/,
    ],
    [
      'a length over the positions that its model has learned',
      job.replace('models/tiny', 'models/gpt2'),
      exitCodes.InvalidConfiguration,
      /training.maxLength 1024 is more than the 44 positions that the model knows/,
    ],
    [
      'a wrong field',
      job.replace('batchSize: 8', 'batchSize: none'),
      exitCodes.InvalidConfiguration,
      /training.batchSize/,
    ],
    ['no GPU', job.replace('count: 0', 'count: 1'), exitCodes.AcceleratorUnavailable, /finds none/],
  ])(
    'with %s ends with the code of its reason',
    async (_, spec, code, message) => {
      writeFileSync(join(undisturbed.folder, 'job.yaml'), spec);
      const gpt2 = checkpoint((reference.cases as { gpt2: Case }).gpt2);
      cpSync(gpt2, join(undisturbed.folder, 'models', 'gpt2'), { recursive: true });
      const ended = await trainer(undisturbed.folder);
      expect([ended.code, ended.output]).toEqual([code, expect.stringMatching(message)]);
    },
    60_000,
  );
});
