import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJobFile, resolveRun, type Run } from '../../trainer-image/config.ts';
import type { RawConfig } from '../../trainer-image/model/config.ts';
import { architectureOf } from '../../trainer-image/model/models.ts';
import { writeSafetensors } from '../../trainer-image/model/safetensors.ts';
import { weightShapes } from '../../trainer-image/model/weight-shapes.ts';
import { referenceIdentity } from '../../trainer-image/reference/identity.ts';
import { eachShard } from '../../trainer-image/reference/shards.ts';
import { ReferenceStore } from '../../trainer-image/reference/store.ts';
import { joined } from '../../trainer-image/data/token-rows.ts';
import { startDigests } from '../../trainer-image/stages/start.ts';
import { load } from '../../trainer-image/train.ts';
import { goldenFolder } from './golden.ts';
import { listen, type Heard } from './heard.ts';

export { listen, type Heard };

/** Runs in the test's own process: a Llama of 68,000 parameters, 12 pairs, every stage; a second or less each. */
export const tinyJob = `
apiVersion: training.dpo-operator.io/v1alpha1
kind: DPOJob
metadata: { name: tiny }
spec:
  model: { source: pvc://models/tiny }
  dataset: { source: pvc://data/pairs.jsonl, holdout: 0.2 }
  sft: { batchSize: 6, learningRate: 1e-2 }
  training: { learningRate: 1e-2, batchSize: 6, microBatchTokens: 200 }
  evaluation: { everySteps: 1, compare: { fromHeldOut: 1, prompts: [], maxNewTokens: 2 } }
  checkpoint: { everySteps: 100 }
  output: { source: pvc://models/out }
  accelerator: { count: 0 }
`;

export const tinyConfig = {
  model_type: 'llama',
  vocab_size: 4096,
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
  tie_word_embeddings: true,
};

/** A checkpoint folder with weights between -0.1 and 0.1 that only `seed` decides, and the golden tokenizer. */
export function writeTinyModel(folder: string, seed = 1, config: RawConfig = tinyConfig): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const weights = weightShapes(architectureOf(config)).map(([name, shape], at) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const read = (): Float32Array =>
      Float32Array.from({ length: count }, (_, i) => 0.1 * Math.sin(1.7 * i * i + 13 * (at + seed)));
    return { name, shape, read };
  });
  writeSafetensors(join(folder, 'model.safetensors'), weights);
  for (const file of readdirSync(`${goldenFolder}/tokenizer`)) {
    copyFileSync(`${goldenFolder}/tokenizer/${file}`, join(folder, file));
  }
}

/** The claims of a run in a folder of their own, and its job as `spec` says it. */
export function prepareTiny(spec = tinyJob): { folder: string; run: Run } {
  const folder = mkdtempSync(join(tmpdir(), 'tiny-'));
  mkdirSync(join(folder, 'data'));
  writeTinyModel(join(folder, 'models', 'tiny'));
  const lines = readFileSync(`${goldenFolder}/train-80.jsonl`, 'utf8').split('\n').slice(0, 12);
  writeFileSync(join(folder, 'data', 'pairs.jsonl'), lines.join('\n'));
  return { folder, run: tinyRun(folder, spec) };
}

/** Preference rows, one JSON object a line. */
export type PreferenceRow = Record<'prompt' | 'chosen' | 'rejected', unknown>;

/** A run of a job on rows made from the twelve, and with other rows in data/contrary.jsonl for evaluation. */
export function prepareMade(
  spec: string,
  make: (rows: PreferenceRow[]) => { pairs?: PreferenceRow[]; contrary?: PreferenceRow[] },
): { folder: string; run: Run } {
  const { folder } = prepareTiny();
  const file = join(folder, 'data', 'pairs.jsonl');
  const rows = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => JSON.parse(line) as PreferenceRow);
  const text = (made: PreferenceRow[]): string => made.map((row) => JSON.stringify(row)).join('\n');
  const { pairs = rows, contrary = [] } = make(rows);
  writeFileSync(file, text(pairs));
  writeFileSync(join(folder, 'data', 'contrary.jsonl'), text(contrary));
  return { folder, run: tinyRun(folder, spec) };
}

/** The same prompts with their answers exchanged. */
export const exchanged = (rows: PreferenceRow[]): PreferenceRow[] =>
  rows.map((row) => ({ ...row, chosen: row.rejected, rejected: row.chosen }));

/** The run of a job in claims that are there. */
export function tinyRun(folder: string, spec = tinyJob): Run {
  writeFileSync(join(folder, 'job.yaml'), spec);
  return resolveRun(readJobFile(join(folder, 'job.yaml')), folder);
}

/** The beats of a run that tell something new, counted from 1: of those that differ in their count alone the first. */
export function distinctBeats({ beats }: Heard): number[] {
  const texts = beats.map((beat) =>
    JSON.stringify({ ...beat, stageStep: undefined, metrics: beat.metrics !== undefined }),
  );
  return texts.flatMap((text, i) => (text === texts[i - 1] ? [] : [i + 1]));
}

/** Makes the kept reference of a run another one: each chosen answer's log-probability is raised by `by`. */
export async function shiftReference(run: Run, by: number): Promise<void> {
  const { context, data } = await load(run, 'test', listen());
  const { microBatchTokens, lora } = run.job.spec.training;
  const numerics = { computePlan: context.computePlan, microBatchTokens, lora };
  const edge = { warn: () => {}, mayCommit: () => {} };
  const identity = referenceIdentity(startDigests(context), numerics);
  const store = new ReferenceStore(join(run.paths.checkpoints, 'reference'), identity, edge);
  for (const shard of eachShard(joined(data.train, data.heldOut), microBatchTokens)) {
    const tokens = store.read(shard) ?? [];
    for (const { chosen } of tokens) chosen[0] = (chosen[0] as number) + by;
    store.write(shard, tokens);
  }
}
