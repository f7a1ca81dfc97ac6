import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { caseNames, cases, duelSteps, type CaseName } from '../bench/cases.ts';
import { performanceFile, performanceText } from '../bench/performance.ts';
import { allCommitted, type CaseResult, type Results, type Summary } from '../bench/results.ts';
import { withEarlier } from '../bench/runs.ts';
import type { StepFigures } from '../bench/side.ts';

/** A run in which TRL takes 8 s a step and ours 2 s, but 4 s in the last, with two rounds before that were slower. */
function madeUp(): Results {
  const step = (seconds: number, i: number): StepFigures => ({
    event: 'step',
    step: i + 1,
    loss: 0.5,
    gradNorm: 3,
    seconds: i < 2 ? 100 : seconds,
    cpuSeconds: 2 * seconds,
    peakMiB: 1024 * seconds,
    matmul: 500,
    firstStepSeconds: 20,
  });
  const result = (name: CaseName): CaseResult => ({
    setting: 'batch 4',
    probes: { 'batch 4': { seconds: 16, peakMiB: 8192 }, 'batch 1 x 4': { seconds: 17, peakMiB: 4096 } },
    trl: duelSteps(cases[name], 'batch 4').map((_, i) => step(8, i)),
    ours: duelSteps(cases[name], 'batch 4').map((_, i) => step(i === 6 ? 4 : 2, i)),
    load: 2,
  });
  const side = { referenceSeconds: 10, trainSeconds: 30, heldOutLoss: 0.65 };
  const before: Summary = {
    setting: 'group by length',
    timesFaster: 3.9,
    median: 3.8,
    ofFastest: 0.3,
    ofLeanest: 0.55,
    ofMatmulLimit: 0.7,
  };
  return {
    started: '2026-01-01T00:00:00Z',
    sources: '0',
    machine: { processor: 'a processor', cores: 2 },
    versions: { trl: '1.16.0' },
    cases: Object.fromEntries(caseNames.map((name) => [name, result(name)])),
    epoch: { setting: 'batch 1 x 4', pairs: 64, trl: { ...side, trainSeconds: 118 }, ours: side },
    earlier: [{ started: '2025-12-31T23:00:00Z', cases: { hh: before } }],
  };
}

/** Cells of the lines of a table whose first cell is this. */
const lines = (text: string, first: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`| ${first} |`))
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));

describe('docs/performance.md', () => {
  const text = performanceText([madeUp()]);

  test('has the rates, the ratio and the memory of the rounds that count', () => {
    const [against = []] = lines(text, cases.hh.title);
    // 20 pairs in 5 steps of 8 s, and in 4 of 2 s and one of 4 s.
    expect(against.slice(1, 3)).toEqual(['batch 4', '0.500 / 1.667']);
    expect(against.slice(4, 8)).toEqual(['3.33×', '4.00× (2.00 to 4.00)', '3.33×', '3.00×']);
    // Beside TRL's fastest setting, 8 GiB, and its leanest, 4 GiB.
    expect(against.slice(8, 10)).toEqual(['8.00 GiB / 4.00 GiB', '0.50 / 1.00']);
  });

  test('has the runs before, with the setting of each', () => {
    const [first = []] = lines(text, '2026-01-01 00:00');
    expect(first.slice(1, 6)).toEqual([cases.hh.title, 'batch 4', '3.33×', '4.00×', '0.50 / 1.00']);
    expect(lines(text, '2025-12-31 23:00')).toEqual([
      ['2025-12-31 23:00', cases.hh.title, 'group by length', '3.90×', '3.80×', '0.30 / 0.55', '70 %'],
    ]);
  });

  test('says which goals are met', () => {
    const verdicts = ['faster than TRL', 'memory beside', 'of the matmul limit', 'to the end'].map((what) =>
      text
        .split('\n')
        .filter((line) => line.startsWith(`| ${what}`))
        .map((line) => line.split(' | ').slice(1).join(' | ')),
    );
    expect(verdicts[0]).toEqual([
      'at least 3.00× | 3.33× | met |',
      'at least 2.30× | 3.33× | met |',
      'at least 2.00× | 3.33× | met |',
      'at least 3.00× | 3.33× | met |',
    ]);
    expect(verdicts[1]).toEqual(['at most 0.35 | 0.50 | **missed** |', 'at most 0.6 | 1.00 | **missed** |']);
    expect(verdicts[2]?.[0]).toMatch(/^85 % .* [**]{2}missed[**]{2} \|$/);
    expect(verdicts[3]).toEqual(['60 s | 20.0 s | met |']);
  });

  test('has an epoch with the reference pass', () => {
    expect(lines(text, 'TRL')).toEqual([['TRL', '10.0 s', '118.0 s', '0.500', '0.6500']]);
    expect(lines(text, 'ours')).toEqual([['ours', '10.0 s', '30.0 s', '1.600', '0.6500']]);
  });

  test('tells beside a run only of those that measured the same', () => {
    const run = madeUp();
    const later = { ...run, started: '2026-01-02T00:00:00Z', earlier: [] };
    expect(withEarlier(later, run).earlier.map(({ started }) => started)).toEqual([
      run.started,
      '2025-12-31T23:00:00Z',
    ]);
    expect(withEarlier(later, { ...run, sources: '1' }).earlier).toEqual([]);
    expect(withEarlier(later, { ...run, machine: { processor: 'another', cores: 2 } }).earlier).toEqual([]);
  });

  test('is made of the results that are committed', () => {
    expect(allCommitted().length).toBeGreaterThan(0);
    expect(readFileSync(performanceFile, 'utf8')).toBe(performanceText(allCommitted()));
  });
});
