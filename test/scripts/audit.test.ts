import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { verdict } from '../../scripts/audit.ts';
import { sbomOf } from '../../scripts/sbom.ts';

describe('the audit', () => {
  const report = (severity: string): string =>
    JSON.stringify({ metadata: { vulnerabilities: { total: 1 } }, vulnerabilities: { undici: { severity } } });

  test.each([
    ['critical', false, /vulnerable: undici \(critical\)/],
    ['high', false, /vulnerable: undici \(high\)/],
    ['moderate', true, /nothing high or critical, 1 lesser/],
    ['low', true, /nothing high/],
  ])('of a %s vulnerability', (severity, ok, says) => {
    expect(verdict(report(severity))).toEqual({ ok, says: expect.stringMatching(says) });
  });

  test.each([
    ['that has no such service', '{"message":"405 Method Not Allowed - POST","error":{"summary":""}}', /405/],
    ['that is not reached', '{"error":{"summary":"request failed"}}', /request failed/],
    ['whose answer is none', '<html>', /no answer/],
  ])('of a registry %s finds nothing, and says that it audited nothing', (_, output, why) => {
    const { ok, says } = verdict(output);
    expect([ok, says]).toEqual([true, expect.stringMatching(why)]);
    expect(says).toMatch(/NOT audited/);
  });
});

interface Bom {
  components: { name: string; version: string; purl: string; hashes: object[] }[];
}
const bom = (stage: 'operator' | 'trainer' | 'trainer-gpu'): Bom => sbomOf(stage) as Bom;
const purls = (...all: Bom[]): string[] => [
  ...new Set(all.flatMap(({ components }) => components.map((one) => one.purl))),
];

describe('the bill of materials', () => {
  interface Locked {
    version: string;
    dev?: boolean;
    link?: boolean;
  }
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Locked> };

  test('of both images has every package that npm itself does not count as one of development, and no other', () => {
    const expected = Object.entries(packages)
      .filter(([path, { dev, link }]) => path.includes('node_modules/') && dev !== true && link !== true)
      .map(([path, { version }]) => `pkg:npm/${path.replace(/^.*node_modules\//, '').replace('@', '%40')}@${version}`);
    const found = purls(bom('operator'), bom('trainer')).filter((one) => one.startsWith('pkg:npm/'));
    expect(found.toSorted()).toEqual([...new Set(expected)].toSorted());
  });

  test('of the operator has no TensorFlow, that of the trainer its wheel and no Kubernetes client', () => {
    expect(purls(bom('operator')).filter((one) => /tensorflow/.test(one))).toEqual([]);
    expect(purls(bom('operator'))).toContainEqual(expect.stringMatching(/^pkg:npm\/%40kubernetes\/client-node@/));
    expect(purls(bom('trainer')).filter((one) => /kubernetes/.test(one))).toEqual([]);
    expect(purls(bom('trainer'))).toContainEqual(expect.stringMatching(/^pkg:pypi\/tensorflow-cpu@/));
    expect(purls(bom('trainer-gpu')).filter((one) => one.startsWith('pkg:pypi/')).length).toBeGreaterThan(5);
  });

  test('has a version and a hash of each', () => {
    for (const { components } of [bom('operator'), bom('trainer'), bom('trainer-gpu')]) {
      expect(components.filter(({ version, hashes }) => version === '' || hashes.length === 0)).toEqual([]);
    }
  });
});
