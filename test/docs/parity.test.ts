import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { lossTypes } from '../../crds/losses.ts';
import { architectures } from '../../trainer-image/model/models.ts';
import { readSection } from '../parity/report.ts';
import { sections } from '../parity/sections.ts';
import { workedCases, workedType } from '../parity/worked.ts';
import { lossesOf, unit } from '../trainer-image/loss/trl.ts';
import { reference } from '../trainer-image/tiny-models.ts';

const document = readFileSync('docs/parity.md', 'utf8');

describe('docs/parity.md', () => {
  test.each(sections.map((section) => [section.title, section] as const))(
    'has every case of "%s", and none beyond its tolerance',
    (title, section) => {
      const { cases, worst } = readSection(document, title);
      expect(section.cases.length).toBeGreaterThan(0);
      expect(cases).toEqual(section.cases);
      expect(worst).toBeLessThanOrEqual(1);
    },
  );

  test('has no table that is not made any more', () => {
    const titles = [...document.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    expect(titles).toEqual(sections.map(({ title }) => title));
  });

  test('has every loss of the schema', () => {
    const ofTrl = [...Object.values(unit.cases), ...Object.values(lossesOf.tiny)];
    const shown = new Set([
      ...ofTrl.flatMap(({ args }) => args.loss_type ?? 'sigmoid'),
      ...workedCases.map(workedType),
    ]);
    expect(lossTypes.filter((type) => !shown.has(type))).toEqual([]);
  });

  test('has every architecture', () => {
    const shown = Object.values(reference.cases).map(({ config }) => config['model_type']);
    expect(architectures.filter((type) => !shown.includes(type))).toEqual([]);
  });
});
