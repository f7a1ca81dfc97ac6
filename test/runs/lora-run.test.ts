import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { SafetensorsFile } from '../../trainer-image/model/safetensors.ts';
import { job, prepare, signalAt, trainer } from '../trainer-image/small-run.ts';

/** Whole runs that train adapters, with dropout, through SFT and the preference stage. */
const lora = job
  .replace('microBatchTokens: 300', 'microBatchTokens: 300, lora: { rank: 4, dropout: 0.1 }')
  .replace('source: pvc://models/out', 'source: pvc://models/out, format: adapter');

function adapterOf(folder: string): Map<string, Float32Array> {
  const file = new SafetensorsFile(join(folder, 'models', 'out', 'adapter_model.safetensors'));
  return new Map(file.names.map((name) => [name, file.read(name).data]));
}

test('an adapter alone is trained and exported; stopped in each stage, the run ends with the same one bit for bit', async () => {
  const [calm, disturbed] = [prepare(lora), prepare(lora)];
  const { code, output } = await trainer(calm);
  expect(output).toMatch(/model loaded: \d+ parameters, of adapters \d+, which alone are trained/);
  expect(code).toBe(0);
  expect(readdirSync(join(calm, 'models', 'out')).toSorted()).toEqual([
    'adapter_config.json',
    'adapter_model.safetensors',
    'dpo-job.json',
    'report.html',
  ]);
  const trained = [...adapterOf(calm)].filter(([name]) => name.endsWith('lora_B.weight'));
  for (const [, values] of trained) expect(values.some((value) => value !== 0)).toBe(true);
  // The reference is the start of the preference stage, adapter and all: its first loss is ln 2.
  expect(output).toMatch(/"firstStepLoss":0\.6931/);
  // Dropout may move it after longer fine-tuning: nothing is expected of it.
  expect(output).not.toContain('zeroMarginLoss');

  for (const stage of ['SFT', 'Training']) {
    let asked = false;
    const stop = (text: string, child: ChildProcess): void => {
      if (asked || !new RegExp(`checkpoint saved at step \\d of stage ${stage}`).test(text)) return;
      asked = child.kill('SIGTERM');
    };
    expect((await trainer(disturbed, stop)).code).toBe(75);
  }
  expect((await trainer(disturbed)).code).toBe(0);
  expect(adapterOf(disturbed)).toEqual(adapterOf(calm));
}, 120_000);

test('an adapter that a run has left is where another begins: SFT goes on from it, and what that makes is the reference', async () => {
  const first = job
    .replace(/  sft: .*\n/, '')
    .replace('microBatchTokens: 300', 'microBatchTokens: 300, lora: { rank: 4 }')
    .replace('source: pvc://models/out', 'source: pvc://models/out, format: adapter');
  const [calm, disturbed] = [prepare(first), prepare(first)];
  const second = job
    .replace('microBatchTokens: 300', 'microBatchTokens: 300, lora: { rank: 4 }')
    .replace('source: pvc://models/out', 'source: pvc://models/out, format: adapter')
    .replace('name: small', 'name: second')
    .replace('pvc://models/tiny', 'pvc://models/tiny, adapter: { source: pvc://models/first }');
  for (const folder of [calm, disturbed]) {
    expect((await trainer(folder)).code).toBe(0);
    renameSync(join(folder, 'models', 'out'), join(folder, 'models', 'first'));
    writeFileSync(join(folder, 'job.yaml'), second);
  }
  const { code, output } = await trainer(calm);
  expect(code).toBe(0);
  expect(output).toMatch(/of adapters from \S+models\/first \d+, which alone are trained/);
  expect(output).toMatch(/"firstStepLoss":0\.6931/);

  // The reference is read back after a stop: it is still the adapter at its start.
  expect((await trainer(disturbed, signalAt(/checkpoint saved at step 2 of stage Training/, 'SIGTERM'))).code).toBe(75);
  expect((await trainer(disturbed)).code).toBe(0);
  expect(adapterOf(disturbed)).toEqual(adapterOf(calm));

  // Other weights in the adapter's place are another start: no checkpoint, and no reference, of the first one is taken.
  rmSync(join(calm, 'models', 'first'), { recursive: true });
  renameSync(join(calm, 'models', 'out'), join(calm, 'models', 'first'));
  const other = await trainer(calm);
  expect(other.code).toBe(66);
  expect(other.output).toContain('CheckpointMismatch');
}, 180_000);

test('by default the adapter is merged into whole weights', async () => {
  const folder = prepare(lora.replace(', format: adapter', ''));
  expect((await trainer(folder)).code).toBe(0);
  const [before, after] = ['tiny', 'out'].map(
    (name) => new SafetensorsFile(join(folder, 'models', name, 'model.safetensors')),
  ) as [SafetensorsFile, SafetensorsFile];
  expect(after.names.some((name) => name.includes('lora'))).toBe(false);
  const same = (name: string): boolean =>
    Buffer.from(after.read(name).data.buffer).equals(Buffer.from(before.read(name).data.buffer));
  expect(same('model.embed_tokens.weight')).toBe(true);
  expect(same('model.layers.0.self_attn.q_proj.weight')).toBe(false);
  const config = JSON.parse(readFileSync(join(folder, 'models', 'out', 'config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ model_type: 'llama' });
}, 60_000);
