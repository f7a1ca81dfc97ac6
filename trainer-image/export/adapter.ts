import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { shownSource } from '../../crds/sources.ts';
import { writing } from '../checkpoint/durable.ts';
import { fileDigest } from '../checkpoint/store.ts';
import type { StateTensor } from '../model/learner.ts';
import { peftPrefix } from '../model/adapter-folder.ts';
import type { LoraSettings } from '../model/lora.ts';
import { writeSafetensors } from '../model/safetensors.ts';
import { adapterFiles } from '../model/weights.ts';
import { putInto, weightsFile, type Exporting } from './export.ts';

export interface ExportedAdapter {
  settings: LoraSettings;
  /** Names of the dense layers within a block. */
  targets: readonly string[];
  weights: readonly StateTensor[];
  /** The job's model.source. */
  base: string;
  /** Whether dense weights lie [in, out]. */
  fanInFanOut: boolean;
}

/** `org/name`, which `transformers` finds on the Hub; any other source as it is, without a signature. */
export const nameOfBase = (source: string): string =>
  shownSource(source).replace(/^hf:\/\/(?<name>[^@]*).*$/, '$<name>');

/** adapter_config.json as PEFT's LoraConfig reads it. */
export function adapterConfig({
  settings,
  targets,
  base,
  fanInFanOut,
}: Omit<ExportedAdapter, 'weights'>): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: nameOfBase(base),
    r: settings.rank,
    lora_alpha: settings.alpha,
    lora_dropout: settings.dropout,
    target_modules: targets,
    use_rslora: settings.useRslora,
    use_dora: settings.useDora,
    fan_in_fan_out: fanInFanOut,
    bias: 'none',
    modules_to_save: null,
    inference_mode: true,
  };
}

/**
 * Writes a folder that `peft` loads onto the model of model.source: adapter_config.json and, last, adapter_model.safetensors.
 * Returns the weights' digest. `mayCommit` as for exportModel. Throws DiskFull.
 */
export function exportAdapter(output: string, adapter: ExportedAdapter, { mayCommit, beat }: Exporting): string {
  return writing('the exported adapter', () => {
    const put = putInto(output, mayCommit);
    const weights = adapter.weights.map((weight) => ({ ...weight, name: peftPrefix + weight.name }));
    const config = `${JSON.stringify(adapterConfig(adapter), null, 2)}\n`;
    put(adapterFiles.config, (file) => writeFileSync(file, config));
    put(weightsFile.adapter, (file) => writeSafetensors(file, weights));
    return `sha256:${fileDigest(join(output, weightsFile.adapter), beat)}`;
  });
}
