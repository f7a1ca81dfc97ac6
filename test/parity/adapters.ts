import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PairTokens } from '../../trainer-image/loss/scores.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import type { LoraSettings } from '../../trainer-image/model/lora.ts';
import { trainingOf } from '../trainer-image/golden.ts';
import { checkpoint, pair, reference, type Case, type Sketch } from '../trainer-image/tiny-models.ts';
import type { Parts } from './compared.ts';
import { eachToken, eachWeight } from './models.ts';

/** Adapters on the tiny models with numbers by PEFT: test/python/lora.py. */
export interface LoraCase {
  of: string;
  file: string;
  /** adapter_config.json. */
  config: Record<string, unknown>;
  settings: Pick<LoraSettings, 'rank' | 'alpha' | 'useRslora' | 'useDora'> & { targetModules: string[] | null };
  chosen: number[];
  rejected: number[];
  gradients: Record<string, Sketch>;
}
export const folder = 'test/golden/lora';
export const adapterCases = JSON.parse(readFileSync(`${folder}/reference.json`, 'utf8')) as Record<string, LoraCase>;
/** What PEFT puts before the names of weights. */
export const prefix = 'base_model.model.';
export const modelOf = (known: LoraCase): string => checkpoint(reference.cases[known.of] as Case);

export function settingsOf({ settings: { targetModules, ...rest } }: LoraCase, dropout = 0): LoraSettings {
  return { ...rest, dropout, ...(targetModules === null ? {} : { targetModules }) };
}

/** A folder as PEFT saved it. */
export function adapterFolder({ config, file }: LoraCase): string {
  const saved = mkdtempSync(join(tmpdir(), 'adapter-'));
  writeFileSync(join(saved, 'adapter_config.json'), JSON.stringify(config));
  copyFileSync(join(folder, file), join(saved, 'adapter_model.safetensors'));
  return saved;
}

/** A learner that begins with the adapter that PEFT saved. */
export const learnerOf = (known: LoraCase, model = modelOf(known), precision = 'fp32'): Learner =>
  new Learner(model, trainingOf({ lora: settingsOf(known), precision }), { adapter: adapterFolder(known) });

/** An adapter beside PEFT: the log-probability of every token of two answers, and the gradient by its weights alone. */
export function adapter(known: LoraCase): Parts {
  const learner = learnerOf(known);
  const [own] = learner.tokenLogProbs([pair]) as [PairTokens];
  learner.accumulateSft([{ row: 0, prompt: pair.prompt, completion: pair.chosen }], pair.chosen.length);
  const gradients = learner.readGradients().map((each) => ({ ...each, name: prefix + each.name }));
  return {
    'log-probabilities': [
      ...eachToken('the chosen answer', own.chosen, known.chosen),
      ...eachToken('the rejected answer', own.rejected, known.rejected),
    ],
    gradient: eachWeight(gradients, known.gradients),
  };
}
