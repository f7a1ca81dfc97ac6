import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../examples/data/random.ts';
import { maxLength, pairsPerStep, type Case, type Lengths } from './cases.ts';
import { readJobFile } from '../../trainer-image/config.ts';
import { firstValues, withLora, type LoraSettings } from '../../trainer-image/model/lora.ts';
import { architectureOf } from '../../trainer-image/model/models.ts';
import { writeSafetensors } from '../../trainer-image/model/safetensors.ts';
import { adapterWeightShapes } from '../../trainer-image/model/weight-shapes.ts';
import { config, letter, letterCount, writeModel } from './model.ts';

export const folder = '.dpo/bench';
export const volumes = join(folder, 'volumes');
export const modelFolder = join(volumes, 'models', 'smollm2-135m-shape');
export const learningRate = 2e-5;

/** What both sides train on: files that either reads, and the job by which ours does. */
export interface Workload {
  name: string;
  /** Pairs of each optimizer step. */
  steps: readonly (readonly Lengths[])[];
  lora?: Case['lora'];
  heldOut?: readonly Lengths[];
}

/**
 * `length` tokens with the end token that both sides add to an answer. Chosen answers have the even letters and rejected ones
 * the odd ones, so that there is something to learn.
 */
function text(random: Random, length: number, kind: 'prompt' | 'chosen' | 'rejected'): string {
  const draw = {
    prompt: () => Math.floor(random.next() * letterCount),
    chosen: () => 2 * Math.floor((random.next() * letterCount) / 2),
    rejected: () => 2 * Math.floor((random.next() * letterCount) / 2) + 1,
  }[kind];
  return Array.from({ length: kind === 'prompt' ? length : length - 1 }, () => letter(draw())).join('');
}

function row(random: Random, [prompt, chosen, rejected]: Lengths): string {
  return JSON.stringify({
    prompt: text(random, prompt, 'prompt'),
    chosen: text(random, chosen, 'chosen'),
    rejected: text(random, rejected, 'rejected'),
  });
}

export const dataFile = ({ name }: Workload, part: 'train' | 'heldout'): string =>
  join(volumes, 'data', `${name}-${part}.jsonl`);
/** Adapters at their start, as ours draws them. */
export const adapterFile = ({ name }: Workload): string => join(folder, `${name}-adapters.safetensors`);
export const jobFile = ({ name }: Workload): string => join(folder, `${name}.yaml`);

function job({ name, steps, lora, heldOut }: Workload): Record<string, unknown> {
  const training = { learningRate, batchSize: pairsPerStep, maxLength, maxSteps: steps.length };
  const held = heldOut === undefined ? { holdout: 0 } : { evalSource: `pvc://data/${name}-heldout.jsonl` };
  return {
    apiVersion: 'training.dpo-operator.io/v1alpha1',
    kind: 'DPOJob',
    metadata: { name },
    spec: {
      model: { source: 'pvc://models/smollm2-135m-shape' },
      dataset: { source: `pvc://data/${name}-train.jsonl`, shuffle: false, ...held },
      training: { ...training, ...(lora === undefined ? {} : { lora }) },
      checkpoint: { everySteps: 1_000_000, everySeconds: 86_400 },
      output: { source: `pvc://output/${name}` },
      accelerator: { count: 0 },
    },
  };
}

/** Writes the model, the pairs in the order of the steps, and the job; what an earlier run left of its output goes. */
export function writeWorkload(workload: Workload): void {
  writeModel(modelFolder);
  mkdirSync(join(volumes, 'data'), { recursive: true });
  rmSync(join(volumes, 'output'), { recursive: true, force: true });
  const random = new Random(5);
  const lines = (pairs: readonly Lengths[]): string => pairs.map((pair) => `${row(random, pair)}\n`).join('');
  writeFileSync(dataFile(workload, 'train'), lines(workload.steps.flat()));
  if (workload.heldOut !== undefined) writeFileSync(dataFile(workload, 'heldout'), lines(workload.heldOut));
  // JSON is YAML too.
  writeFileSync(jobFile(workload), JSON.stringify(job(workload)));
  if (workload.lora !== undefined) writeAdapters(workload);
}

function writeAdapters(workload: Workload): void {
  const { lora, seed } = readJobFile(jobFile(workload)).spec.training;
  const architecture = withLora(architectureOf(config), lora as LoraSettings);
  const adapters = adapterWeightShapes(architecture).map(([name, shape]) => ({
    name,
    shape,
    read: () => firstValues(name, shape, seed),
  }));
  writeSafetensors(adapterFile(workload), adapters);
}
