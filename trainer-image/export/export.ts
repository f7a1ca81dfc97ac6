import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commit, writing } from '../checkpoint/durable.ts';
import { fileDigest } from '../checkpoint/store.ts';
import type { RawConfig } from '../model/config.ts';
import type { StateTensor } from '../model/learner.ts';
import { writeSafetensors } from '../model/safetensors.ts';
import { adapterFiles } from '../model/weights.ts';
import { recordName } from './owner.ts';

/** Files of a checkpoint folder that go with the weights unchanged. */
const companions = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'generation_config.json',
];

/** The weights of each `output.format`. */
export const weightsFile = { model: 'model.safetensors', adapter: adapterFiles.weights } as const;

/** The report of the run, beside the model. */
export const reportName = 'report.html';

/** All that a model of either format is: what loads the folder may follow any of them. The weights come first. */
const modelFiles = [...Object.values(weightsFile), 'config.json', adapterFiles.config, ...companions];

/** All that a run leaves in its output; the record of whose it is comes first. */
export const exportedFiles: readonly string[] = [recordName, ...modelFiles, reportName];

/** config.json of the export: the weights are float32, whatever they were. */
function exportedConfig(raw: RawConfig): RawConfig {
  const { torch_dtype: old, ...rest } = raw;
  return old === undefined ? { ...rest, dtype: 'float32' } : { ...rest, torch_dtype: 'float32' };
}

/**
 * Makes a folder without what an earlier export left, of whichever format; what is answered puts a file into it when it is
 * whole and may be committed.
 */
export function putInto(folder: string, mayCommit: () => void): (name: string, write: (file: string) => void) => void {
  mkdirSync(folder, { recursive: true });
  mayCommit();
  for (const name of modelFiles) rmSync(join(folder, name), { force: true });
  return (name, write) => {
    const temporary = join(folder, `${name}.partial`);
    try {
      write(temporary);
      commit(temporary, join(folder, name), mayCommit);
    } finally {
      rmSync(temporary, { force: true });
    }
  };
}

/** What an export asks and tells meanwhile. */
export interface Exporting {
  /** Asked before each file is put in its place; throws when it must not be. */
  mayCommit: () => void;
  /** Hears of each piece of the weights' file as its digest is taken: all is in its place by then, so it throws nothing. */
  beat?: () => void;
}

/**
 * Writes a folder that transformers loads. Each file is put in its place when it is whole, the weights last: a folder
 * with model.safetensors is complete. Returns the weights' digest. Throws DiskFull.
 */
export function exportModel(
  source: string,
  output: string,
  model: { raw: RawConfig; weights: readonly StateTensor[]; chatTemplate?: string | undefined },
  { mayCommit, beat = () => {} }: Exporting,
): string {
  return writing('the exported model', () => {
    const put = putInto(output, mayCommit);
    for (const name of companions.filter((each) => existsSync(join(source, each)))) {
      put(name, (file) => copyFileSync(join(source, name), file));
    }
    const template = model.chatTemplate;
    if (template !== undefined) put('chat_template.jinja', (file) => writeFileSync(file, template));
    put('config.json', (file) => writeFileSync(file, `${JSON.stringify(exportedConfig(model.raw), null, 2)}\n`));
    put(weightsFile.model, (file) => writeSafetensors(file, model.weights));
    return `sha256:${fileDigest(join(output, weightsFile.model), beat)}`;
  });
}
