import type { ChildProcess } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { takeFence } from '../../trainer-image/checkpoint/fence.ts';
import { storeComputePlan, storedComputePlan } from '../../trainer-image/checkpoint/compute-plan.ts';
import type { ComputePlan } from '../../trainer-image/engine/compute-plan.ts';
import { readConfig } from '../../trainer-image/model/config.ts';
import { architectureOf } from '../../trainer-image/model/models.ts';
import { SafetensorsFile, writeSafetensors } from '../../trainer-image/model/safetensors.ts';
import { weightShapes } from '../../trainer-image/model/weight-shapes.ts';
import { load } from '../../trainer-image/train.ts';
import { relativeDistance } from '../trainer-image/golden.ts';
import { listen, prepareTiny, tinyJob, tinyRun } from '../trainer-image/in-process.ts';
import { kernelSetsHere } from '../trainer-image/kernel-sets.ts';
import { exported, job, prepare, signalAt, trainer } from '../trainer-image/small-run.ts';

/** The folder of checkpoints of a run. */
function checkpointsIn(folder: string): string {
  const runs = join(folder, 'models', '.dpo');
  return join(runs, readdirSync(runs)[0] as string);
}

/** Changes the plan that a run which was stopped goes on with. */
function changePlan(folder: string, changes: Partial<ComputePlan>): void {
  const checkpoints = checkpointsIn(folder);
  const plan = storedComputePlan(checkpoints);
  if (plan === undefined) throw new Error('no plan was stored');
  storeComputePlan(checkpoints, { ...plan, ...changes }, takeFence(checkpoints, 'test'));
}

test('a run that goes on keeps its threads and kernels, and says when the rest of the machine is another', async () => {
  const folder = prepare();
  let asked = false;
  const stop = (output: string, child: ChildProcess): void => {
    if (asked || !output.includes('checkpoint saved')) return;
    asked = child.kill('SIGTERM');
  };
  const stopped = await trainer(folder, stop, { env: { TF_NUM_INTRAOP_THREADS: '1' } });
  const best = kernelSetsHere[0];
  expect(stopped.output).toContain(`, 1 threads, own kernels ${best}, operation by operation`);
  expect(stopped.code).toBe(75);

  changePlan(folder, { instructionSet: 'another', mode: 'recorded', kernels: 'none' });

  const resumed = await trainer(folder);
  expect(resumed.code).toBe(0);
  expect(resumed.output).toContain(', 1 threads, own kernels none, blocks compiled');
  expect(resumed.output).toMatch(/ComputePlanChanged/);
  expect(resumed.output).toMatch(/instructionSet .*, before another: it ends numerically close/);
  expect(resumed.output).toMatch(/compiling \d+ functions took [\d.]+ s, [\d.]+ % of the run/);
}, 60_000);

/** The weights that a run exported. */
function weightsOf(folder: string): Float32Array[] {
  const file = new SafetensorsFile(join(folder, 'models', 'out', 'model.safetensors'));
  const weights = file.names.toSorted().map((name) => file.read(name).data);
  file.close();
  return weights;
}

test('with padding, as on a GPU, a run ends with weights that are numerically close, and tells its share', async () => {
  const [calm, padded] = [prepare(), prepare()];
  expect((await trainer(calm)).output).toContain('lengths exact');
  await trainer(padded, signalAt(/checkpoint saved at step 2 of stage SFT/, 'SIGTERM'));
  changePlan(padded, { lengths: 'rounded' });
  const { code, output } = await trainer(padded);
  expect(code).toBe(0);
  expect(output).toContain('lengths rounded');
  expect(output).toMatch(/[1-9][\d.]* % of the rows computed were padding/);
  const expected = weightsOf(calm);
  expect(exported(padded)).not.toBe(exported(calm));
  weightsOf(padded).forEach((own, i) => expect(relativeDistance(own, expected[i] as Float32Array)).toBeLessThan(1e-3));
}, 120_000);

/** A Llama of so many layers with random weights, in the place of the small run's own. */
function deepen(folder: string, layers: number): void {
  const model = join(folder, 'models', 'tiny');
  const config = { ...readConfig(model), num_hidden_layers: layers, tie_word_embeddings: true };
  writeFileSync(join(model, 'config.json'), JSON.stringify(config));
  let seed = 1;
  const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647 - 0.5;
  const tensors = weightShapes(architectureOf(config)).map(([name, shape]) => ({
    name,
    shape,
    read: () =>
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() / 10 + Number(shape.length === 1)),
  }));
  writeSafetensors(join(model, 'model.safetensors'), tensors);
}

test('blocks of a deep model are recorded, and a run of it that was stopped ends with the same weights bit for bit', async () => {
  const [calm, disturbed] = [prepare(), prepare()];
  for (const folder of [calm, disturbed]) deepen(folder, 8);
  expect((await trainer(calm)).output).toContain('blocks compiled');
  let asked = false;
  const stopped = await trainer(disturbed, (output, child) => {
    if (asked || !/checkpoint saved at step \d of stage Training/.test(output)) return;
    asked = child.kill('SIGTERM');
  });
  expect(stopped.code).toBe(75);
  expect((await trainer(disturbed)).code).toBe(0);
  expect(exported(disturbed)).toBe(exported(calm));
}, 120_000);

test('a run in bfloat16 says so, and ends with other weights than one in float32', async () => {
  const [whole, rounded] = [prepare(), prepare(job.replace('training: {', 'training: { precision: bf16,'))];
  expect((await trainer(whole)).output).toContain('), fp32, ');
  const { code, output } = await trainer(rounded);
  expect(code).toBe(0);
  expect(output).toContain('), bf16, ');
  expect(exported(rounded)).not.toBe(exported(whole));
}, 120_000);

test('a checkpoint belongs to the precision that auto has become', async () => {
  const { folder } = prepareTiny();
  const planWith = async (precision: string): Promise<string> => {
    const spec = tinyJob.replace('training: {', `training: { precision: ${precision},`);
    return (await load(tinyRun(folder, spec), 'test', listen())).context.plan;
  };
  const [auto, fp32, bf16] = [await planWith('auto'), await planWith('fp32'), await planWith('bf16')];
  expect(auto).toBe(fp32);
  expect(bf16).not.toBe(fp32);
}, 60_000);
