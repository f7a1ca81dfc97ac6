import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Tiny seeded models of every architecture, with numbers by transformers and PyTorch: test/python/tiny_models.py. */
export interface Case {
  /** Name of the file of weights; several cases share one. */
  weights: string;
  config: Record<string, unknown>;
  /** Log-probability of every token of the two answers. */
  chosen: number[];
  rejected: number[];
  /** Of the chosen answer's mean cross-entropy, by weight. */
  gradients: Record<string, Sketch>;
}
/** A tensor's norm, and its products with sin(i + 1) and cos(2i + 1) for element i. */
export type Sketch = [number, number, number];
interface Reference extends Record<'prompt' | 'chosen' | 'rejected', number[]> {
  cases: Record<string, Case>;
}

const folder = 'test/golden/models';
export const reference = JSON.parse(readFileSync(`${folder}/reference.json`, 'utf8')) as Reference;

const ids = (part: 'prompt' | 'chosen' | 'rejected'): Int32Array => Int32Array.from(reference[part]);
export const pair = { row: 0, prompt: ids('prompt'), chosen: ids('chosen'), rejected: ids('rejected') };

/** Writes a checkpoint folder as a user has it. */
export function checkpoint({ weights, config }: Case): string {
  const made = mkdtempSync(join(tmpdir(), 'tiny-'));
  writeFileSync(join(made, 'config.json'), JSON.stringify(config));
  copyFileSync(`${folder}/${weights}.safetensors`, join(made, 'model.safetensors'));
  return made;
}
