import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { exportAdapter } from '../../../trainer-image/export/adapter.ts';
import { exportModel } from '../../../trainer-image/export/export.ts';
import { SafetensorsFile } from '../../../trainer-image/model/safetensors.ts';

const model = {
  raw: { model_type: 'llama', torch_dtype: 'bfloat16' },
  weights: [{ name: 'w', shape: [2], read: () => Float32Array.of(1, 2) }],
};

/** A model's folder, and an output where the export of another one stands. */
function folders(): { source: string; output: string } {
  const root = mkdtempSync(join(tmpdir(), 'export-'));
  const [source, output] = [join(root, 'model'), join(root, 'out')];
  mkdirSync(source);
  mkdirSync(output);
  writeFileSync(join(source, 'tokenizer.json'), '"new"');
  for (const name of ['model.safetensors', 'config.json', 'tokenizer.json', 'chat_template.jinja']) {
    writeFileSync(join(output, name), 'another');
  }
  return { source, output };
}

test("an export holds this model's files only, in float32", () => {
  const { source, output } = folders();
  exportModel(source, output, model, { mayCommit: () => {} });
  expect(readdirSync(output).toSorted()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
  expect(JSON.parse(readFileSync(join(output, 'config.json'), 'utf8'))).toEqual({
    model_type: 'llama',
    torch_dtype: 'float32',
  });
  expect(readFileSync(join(output, 'tokenizer.json'), 'utf8')).toBe('"new"');
  const file = new SafetensorsFile(join(output, 'model.safetensors'));
  expect([...file.read('w').data]).toEqual([1, 2]);
  file.close();
});

const adapter = {
  settings: { rank: 1, alpha: 1, dropout: 0, targetModules: ['q_proj'], useRslora: false, useDora: false },
  targets: ['q_proj'],
  weights: model.weights,
  base: 'hf://org/model',
  fanInFanOut: false,
};

test('an export over one of the other format leaves none of its files: loaders follow adapter_config.json first', () => {
  const { source, output } = folders();
  exportAdapter(output, adapter, { mayCommit: () => {} });
  expect(readdirSync(output).toSorted()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  exportModel(source, output, model, { mayCommit: () => {} });
  expect(readdirSync(output).toSorted()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
});

test('an export tells of each piece whose digest is taken, when all is in its place', () => {
  const { source, output } = folders();
  const there: boolean[] = [];
  const beat = (): void => void there.push(existsSync(join(output, 'model.safetensors')));
  exportModel(source, output, model, { mayCommit: () => {}, beat });
  expect(there).toEqual([true]);
});

test('a folder with weights is complete: whenever an export ends, they are not there before the rest is', () => {
  const { source, output } = folders();
  let asked = 0;
  exportModel(source, output, model, { mayCommit: () => void asked++ });
  for (let end = 1; end <= asked; end++) {
    const { source: from, output: to } = folders();
    let at = 0;
    const stop = (): void => {
      if (++at === end) throw new Error('stopped');
    };
    expect(() => exportModel(from, to, model, { mayCommit: stop })).toThrow('stopped');
    const weights = join(to, 'model.safetensors');
    // Before the first file it is the other model's folder still, untouched.
    if (end === 1) expect(readFileSync(weights, 'utf8')).toBe('another');
    else expect(existsSync(weights)).toBe(false);
    expect(readdirSync(to).filter((name) => name.endsWith('.partial'))).toEqual([]);
    rmSync(to, { recursive: true });
  }
});
