import { describe, expect, test } from '@jest/globals';
import { apiDocs, metricsDocs } from '../../scripts/reference-docs.ts';

const rowOf = (name: string): string | undefined =>
  apiDocs()
    .split('\n')
    .find((line) => line.startsWith(`| \`${name}\` |`));

describe('docs/api.md', () => {
  test.each([
    ['dataset.sources[].weight', '> 0, ≤ 100'],
    ['training.loss[].type', '`sigmoid`, `hinge`'],
    ['training.loss[].weight', '> 0, ≤ 1000000'],
    ['training.betas', 'each ≥ 0, < 1'],
    ['training.momentum', '≥ 0, < 1'],
    ['training.beta', '> 0, ≤ 1000'],
    ['dataset.holdout', '≥ 0, ≤ 0.5'],
  ])('has %s with its limits', (name, limits) => {
    expect(rowOf(name)).toContain(` ${limits}`);
  });
});

test('docs/metrics.md gives each metric a meaning, in a sentence', () => {
  const meanings = [...metricsDocs().matchAll(/^\| `([a-zA-Z_]+)` \| (.*) \|$/gm)].map(([, name, meaning]) => [
    name,
    meaning,
  ]);
  expect(meanings.length).toBeGreaterThan(80);
  for (const [name, meaning] of meanings)
    expect([name, meaning]).toEqual([name, expect.stringMatching(/^(1|[A-Z]\S*) .+/)]);
});
