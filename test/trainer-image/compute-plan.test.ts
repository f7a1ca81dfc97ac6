import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { takeFence } from '../../trainer-image/checkpoint/fence.ts';
import { storeComputePlan, storedComputePlan } from '../../trainer-image/checkpoint/compute-plan.ts';
import { prepare, trainer } from './small-run.ts';

test('a run that goes on keeps its threads, and says when the rest of the machine is another', async () => {
  const folder = prepare();
  let asked = false;
  const stop = (output: string, child: ChildProcess): void => {
    if (asked || !output.includes('checkpoint saved')) return;
    asked = child.kill('SIGTERM');
  };
  const stopped = await trainer(folder, stop, { TF_NUM_INTRAOP_THREADS: '1' });
  expect(stopped.output).toContain(', 1 threads');
  expect(stopped.code).toBe(75);

  const job = join(folder, 'models', '.dpo');
  const checkpoints = join(job, readdirSync(job)[0] as string);
  const plan = storedComputePlan(checkpoints);
  if (plan === undefined) throw new Error('no plan was stored');
  storeComputePlan(checkpoints, { ...plan, instructionSet: 'another' }, takeFence(checkpoints, 'test'));

  const resumed = await trainer(folder);
  expect(resumed.code).toBe(0);
  expect(resumed.output).toContain(', 1 threads');
  expect(resumed.output).toMatch(/ComputePlanChanged/);
  expect(resumed.output).toMatch(/instructionSet .*, before another: it ends numerically close/);
  expect(resumed.output).toMatch(/\d+ functions were recorded in [\d.]+ s, [\d.]+ % of the run/);
}, 60_000);
