import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dashboardJson } from '../charts/monitoring/dashboard.ts';
import { rulesYaml } from '../charts/monitoring/rules.ts';
import { chartCustomResourceDefinitionYaml, customResourceDefinitionYaml } from '../crds/generate.ts';
import { scaleDocs } from '../test/scale/page.ts';
import { apiDocs, metricsDocs } from './reference-docs.ts';

/**
 * `npm run generate` writes every generated file; `npm run verify` (--check) makes them again and fails, naming the first
 * line that differs, when a committed one is not up to date.
 */
const files: Record<string, () => string> = {
  'crds/dpojob.yaml': customResourceDefinitionYaml,
  'charts/dpo-operator/files/dpojob.yaml': chartCustomResourceDefinitionYaml,
  'charts/dpo-operator/files/dashboard.json': dashboardJson,
  'charts/dpo-operator/files/rules.yaml': rulesYaml,
  'docs/api.md': apiDocs,
  'docs/metrics.md': metricsDocs,
  'docs/scale.md': scaleDocs,
};

function difference(file: string, expected: string): string | undefined {
  const found = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (found === expected) return undefined;
  const [a, b] = [found.split('\n'), expected.split('\n')];
  const line = b.findIndex((text, i) => text !== a[i]);
  return `${file}, line ${line + 1}: it says "${a[line] ?? ''}", generated is "${b[line] ?? ''}"`;
}

const check = process.argv.includes('--check');
for (const [file, make] of Object.entries(files)) {
  const text = make();
  if (!check) writeFileSync(file, text);
  const problem = difference(file, text);
  if (problem === undefined) continue;
  console.error(`${problem}\nrun: npm run generate`);
  process.exitCode = 1;
}
