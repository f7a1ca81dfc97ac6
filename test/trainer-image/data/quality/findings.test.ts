import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { qualitySchema, thresholdsSchema, type Thresholds } from '../../../../crds/quality.ts';
import { metricsDocs } from '../../../../scripts/reference-docs.ts';
import type { Text } from '../../../../trainer-image/data/messages.ts';
import {
  droppingChecks,
  findingsOf,
  noiseFinding,
  type Finding,
} from '../../../../trainer-image/data/quality/findings.ts';
import { HeldOutPrompts } from '../../../../trainer-image/data/quality/gate.ts';
import { aRow, judged } from './rows.ts';

const defaults = thresholdsSchema.parse({});
const reasonsBeyond = (findings: readonly Finding[]): string[] =>
  findings.filter(({ beyond }) => beyond).map(({ reason }) => reason);

/** Three sound rows; with another, one row of four is found. */
const sound: Text[][] = ['one', 'two', 'three'].map((prompt) => [prompt, 'yes', 'no!']);
const heldOut = new HeldOutPrompts();
heldOut.see(aRow(1, 'held out', 'a', 'b'));

describe('a check is beyond its threshold', () => {
  const rows: [keyof Thresholds, Text[], string, number][] = [
    ['empty', ['four', '', 'b'], 'EmptyRows', 0.25],
    ['identical', ['four', 'b', 'b'], 'IdenticalAnswers', 0.25],
    ['contradicting', ['one', 'no!', 'yes'], 'ContradictingPairs', 0.5],
    ['duplicate', ['one', 'yes', 'no!'], 'DuplicateRows', 0.25],
    ['leaking', ['held out', 'a', 'b'], 'LeakingPrompts', 0.25],
    ['truncated', ['four', 'x'.repeat(100), 'b'], 'TruncatedAnswers', 0.25],
  ];
  test.each(rows)('%s: when the share of rows is above it, not when it is equal', (check, row, reason, share) => {
    const verdict = judged([...sound, row], 50, heldOut);
    const at = (threshold: number): string[] => {
      const off = Object.fromEntries(Object.keys(defaults).map((name) => [name, Number(!/Diversity/.test(name))]));
      return reasonsBeyond(findingsOf('preference', verdict, { ...off, [check]: threshold } as Thresholds));
    };
    expect([at(share - 0.001), at(share), at(1)]).toEqual([[reason], [], []]);
  });

  test.each([
    ['promptDiversity', 'LowPromptDiversity', [...sound, ['one', 'a', 'b']], 0.75],
    [
      'ngramDiversity',
      'NearCopies',
      [
        ['a b c d', '1', '2'],
        ['a b c e', '1', '2'],
      ],
      0.75,
    ],
  ] as [keyof Thresholds, string, Text[][], number][])(
    '%s: when the measure is below it, not when it is equal',
    (check, reason, rows, value) => {
      const at = (threshold: number): string[] =>
        reasonsBeyond(findingsOf('preference', judged(rows), { ...defaults, [check]: threshold }));
      expect([at(value + 0.001), at(value), at(0)]).toEqual([[reason], [], []]);
    },
  );

  // 90 of 100 pairs: the 95 % interval begins at 0.8256.
  const bias = Array.from({ length: 100 }, (_, i): Text[] => [`p${i}`, i < 90 ? 'long' : 'x', 'mid']);
  test.each([
    ['longer', bias],
    ['shorter', bias.map(([prompt, chosen, rejected]) => [prompt, rejected, chosen] as Text[])],
  ])('lengthBias: when the %s answer is surely chosen more often', (side, rows) => {
    const finding = (lengthBias: number): Finding | undefined =>
      findingsOf('preference', judged(rows), { ...defaults, lengthBias }).find(({ check }) => check === 'lengthBias');
    expect([finding(0.82)?.beyond, finding(0.83)?.beyond]).toEqual([true, false]);
    expect(finding(0.82)?.summary).toBe(`the ${side} answer is the chosen one in 90 % of 100 pairs`);
  });

  // 30 of 100 confident labels contradicted: the 95 % interval begins at 0.2190 (Wilson's formula).
  const margins = Float64Array.from({ length: 100 }, (_, i) => (i < 30 ? -3 - i : 40));
  const lines = Uint32Array.from(margins, (_, i) => i + 1);
  const lengths = new Int32Array(100);
  test.each([
    [0.21, true],
    [0.22, false],
    [1, false],
  ])('labelNoise: against %d, %s, when surely more labels are contradicted', (threshold, beyond) => {
    expect(noiseFinding({ margins, rows: lines, lengths }, threshold)).toMatchObject({
      value: 0.3,
      beyond,
      reason: 'LabelNoise',
    });
  });

  // 90 of 100 contradicted; by a reference that likes short answers, those 90 are the ones whose chosen answer is longer.
  test.each([
    ['at any length', (i: number) => (i % 2 === 0 ? 1 : -1), true],
    ['only where the chosen answer is longer', (i: number) => (i < 90 ? 1 : -1), false],
    ['where every chosen answer is longer, so that length may be all', () => 1, false],
  ])('labelNoise: labels contradicted %s', (_, length, beyond) => {
    const against = Float64Array.from({ length: 100 }, (__, i) => (i < 90 ? -3 : 3));
    const judgedOf = { margins: against, rows: lines, lengths: Int32Array.from(against, (__, i) => length(i)) };
    expect(noiseFinding(judgedOf, 0.5)).toMatchObject({ beyond, advice: expect.stringMatching(/swapped\?$/) });
  });

  test('labelNoise asks for swapped answers only far above the half that an untrained reference contradicts', () => {
    const half = Float64Array.from({ length: 100 }, (_, i) => (i < 57 ? -3 : 3));
    expect(noiseFinding({ margins: half, rows: lines, lengths }, 0.5).advice).not.toMatch(/swapped/);
  });

  test('labelNoise names the rows that are contradicted most, those first', () => {
    const { worst, summary } = noiseFinding({ margins, rows: lines, lengths }, 0.5);
    expect(worst[0]).toEqual({
      row: 30,
      why: 'the reference finds the rejected answer likelier by 32.0 nats per token',
    });
    expect(worst.map(({ row }) => row)).toEqual(Array.from({ length: 20 }, (_, i) => 30 - i));
    expect(summary).toContain('contradicts 30 % of the 100 preferences');
  });
});

test('a finding tells share, first lines and why', () => {
  const verdict = judged([...sound, ...sound, ...sound]);
  const finding = findingsOf('preference', verdict, defaults).find(({ check }) => check === 'duplicate');
  expect(finding).toMatchObject({ rows: 6, value: 2 / 3, threshold: 0.01, beyond: true });
  expect(finding?.summary).toBe(
    '6 of 9 rows, 66.7 %, repeat an earlier row (lines 4, 5, 6, 7, 8 ...; line 4: the same as line 1)',
  );
});

test('fine-tuning rows are judged by the checks that have a meaning for one answer', () => {
  const checks = findingsOf('sft', judged([['p', 'a']]), defaults).map(({ check }) => check);
  expect(checks).toEqual(['empty', 'duplicate', 'leaking', 'truncated', 'promptDiversity', 'ngramDiversity']);
});

test('docs/data-quality.md has a row for every threshold, with the reason', () => {
  const pages = readFileSync('docs/data-quality.md', 'utf8');
  const all = [
    ...findingsOf('preference', judged(sound), defaults),
    noiseFinding({ margins: Float64Array.of(1), rows: Uint32Array.of(1), lengths: Int32Array.of(0) }, 1),
  ];
  expect(all.map(({ check }) => check).toSorted()).toEqual(Object.keys(defaults).toSorted());
  for (const { check, reason } of all)
    expect(pages).toMatch(new RegExp(`^\\| \`${check}\` .*\\| \`${reason}\` +\\|`, 'm'));
  const names = [...pages.matchAll(/`(dpo_\w+)`/g)].map(([name]) => name);
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) expect(metricsDocs()).toContain(name);
});

describe('the policy', () => {
  test('is Warn, and warns of no sound data', () => {
    const { policy, thresholds } = qualitySchema.parse({});
    expect(policy).toBe('Warn');
    expect(reasonsBeyond(findingsOf('preference', judged(sound), thresholds))).toEqual([]);
  });

  test.each([
    ['Warn', {}, []],
    ['Fail', {}, []],
    ['Drop', {}, ['empty', 'identical', 'contradicting', 'duplicate', 'leaking', 'truncated']],
    ['Drop', { truncated: 1, duplicate: 1 }, ['empty', 'identical', 'contradicting', 'leaking']],
  ] as const)('%s with %j leaves out the rows of %j', (policy, thresholds, checks) => {
    expect(droppingChecks(qualitySchema.parse({ policy, thresholds }))).toEqual(checks);
  });
});
