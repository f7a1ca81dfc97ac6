import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { writeStarterWeights } from './starter/weights.ts';

const dataFiles = ['pairs.jsonl.gz', 'heldout.jsonl.gz', 'sft.jsonl.gz'];
const modelFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
];

/** Fills the claims `models` and `data` below a folder with the starter model and the example data, where missing. */
export function prepareExamples(volumes: string): void {
  const here = import.meta.dirname;
  const [model, data] = [join(volumes, 'models', 'starter'), join(volumes, 'data')];
  mkdirSync(model, { recursive: true });
  mkdirSync(data, { recursive: true });
  for (const file of modelFiles) copyFileSync(join(here, 'starter', file), join(model, file));
  for (const file of dataFiles) copyFileSync(join(here, 'data', file), join(data, file));
  const weights = join(model, 'model.safetensors');
  if (existsSync(weights)) return;
  writeStarterWeights(`${weights}.partial`);
  renameSync(`${weights}.partial`, weights);
}
