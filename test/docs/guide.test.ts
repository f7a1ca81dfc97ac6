import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { dashboard } from '../../charts/monitoring/dashboard.ts';
import { alerts } from '../../charts/monitoring/rules.ts';
import { exitCodes } from '../../crds/exit-codes.ts';
import { customResourceDefinition } from '../../crds/generate.ts';
import { lossTypes } from '../../crds/losses.ts';
import { metricsDocs } from '../../scripts/reference-docs.ts';

const guide = readFileSync('docs/guide.md', 'utf8').replaceAll(/\n\s*/g, ' ');
const found = (pattern: RegExp): string[] => [
  ...new Set([...guide.matchAll(pattern)].map(([, name]) => name as string)),
];

interface Schema {
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  type?: string;
}
const crd = customResourceDefinition() as { spec: { versions: { schema: { openAPIV3Schema: Schema } }[] } };

/** The field of a path such as spec.training.beta; through a list to what it holds. */
function fieldAt(path: string): Schema | undefined {
  const root: Schema | undefined = crd.spec.versions[0]?.schema.openAPIV3Schema;
  return path.split('.').reduce((at, name) => (at?.items ?? at)?.properties?.[name], root);
}

describe('the guide names only what is there:', () => {
  test.each(found(/`((?:spec|status)\.[\w.]+)/g))('the field %s', (path) => {
    expect(fieldAt(path)).toBeDefined();
  });

  const values = [...guide.matchAll(/`(spec\.[\w.]+): ([\w.]+)`/g)].map(
    ([, path, value]) => [path, value] as [string, string],
  );
  test.each(values)('of the field %s the value %s', (path, value) => {
    const { enum: allowed, type } = fieldAt(path) as Schema;
    expect(allowed ?? (type === 'boolean' ? ['true', 'false'] : [value])).toContain(value);
  });

  const panels = (dashboard() as { panels?: { title?: string }[] }).panels?.map(({ title }) => title);
  test.each(found(/_([A-Z][^_]+)_/g))('the panel %s', (title) => {
    expect(panels).toContain(title);
  });

  test.each(found(/`(dpo_\w+)`/g))('the metric %s', (name) => {
    expect(metricsDocs()).toContain(`\`${name}\``);
  });

  test.each(found(/`(DPO[A-Z]\w+)`/g))('the alert %s', (name) => {
    expect(alerts.map(({ alert }) => alert)).toContain(name);
  });

  const events = ['trainer-image/metrics/signals.ts', 'crds/conditions.ts']
    .map((file) => readFileSync(file, 'utf8'))
    .join();
  test.each(
    guide
      .match(/Events? [^.;]*/g)
      ?.flatMap((part) => part.match(/(?<=`)[A-Z]\w+(?=`)/g) ?? [])
      .filter((name) => !name.startsWith('DPO')) ?? [],
  )('the Event %s', (reason) => {
    expect(events).toContain(`'${reason}'`);
  });

  test.each(found(/type `(\w+)`/g))('the loss %s', (type) => {
    expect(lossTypes).toContain(type);
  });

  test.each(found(/\]\(([\w-]+\.md)\)/g))('the page %s', (page) => {
    expect(existsSync(`docs/${page}`)).toBe(true);
  });

  test.each(found(/exit code (\d+)/g))('the exit code %s', (code) => {
    expect(Object.values(exitCodes)).toContain(Number(code));
  });

  test.each(found(/`?(--[a-z][a-z-]+)/g))('the option %s of npm run train', (option) => {
    expect(readFileSync('trainer-image/main.ts', 'utf8')).toContain(`  ${option}`);
  });
});

test('the guide has something of each kind to be checked', () => {
  for (const pattern of [
    /`(spec\.)/,
    /_([A-Z][^_]+)_/,
    /`(dpo_\w+)`/,
    /`(DPO[A-Z]\w+)`/,
    /exit code (\d+)/,
    /(--[a-z])/,
  ]) {
    expect(guide).toMatch(pattern);
  }
});
