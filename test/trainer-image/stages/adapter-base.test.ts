import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { Run } from '../../../trainer-image/config.ts';
import { namesOtherBase, warnOfOtherBase } from '../../../trainer-image/stages/adapter-base.ts';
import { listen } from '../heard.ts';

test.each<[unknown, string, boolean]>([
  ['org/name', 'hf://org/name@main', false],
  ['Org/Name', 'hf://org/name', false],
  ['org/other', 'hf://org/name@main', true],
  ['pvc://models/a', 'pvc://models/a/', false],
  ['pvc://models/a', 'pvc://models/b', true],
  ['https://host/a.zip', 'https://host/a.zip?signature=x', false],
  // What cannot be compared.
  ['org/other', 'pvc://models/name', false],
  ['pvc://models/a', 'hf://org/name', false],
  ['/home/me/models/other', 'hf://org/name', false],
  ['./models', 'hf://org/name', false],
  ['', 'hf://org/name', false],
  [null, 'hf://org/name', false],
])('an adapter made on %j, with the model %s: is it of another model? %s', (named, source, other) => {
  expect(namesOtherBase(named, source)).toBe(other);
});

test('an adapter of another model is warned of, with both names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'adapter-'));
  writeFileSync(join(folder, 'adapter_config.json'), '{"base_model_name_or_path":"org/other"}');
  const model = { source: 'hf://org/name@main', adapter: { source: 'pvc://models/adapter' } };
  const run = { paths: { adapter: folder }, job: { spec: { model } } } as unknown as Run;
  const heard = listen();
  warnOfOtherBase(run, heard);
  expect(heard.warnings).toEqual([
    ['AdapterBaseDiffers', expect.stringMatching(/was made on org\/other and spec[.]model[.]source is org\/name/)],
  ]);
});
