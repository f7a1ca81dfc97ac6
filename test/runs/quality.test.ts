import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { dataCountsSchema } from '../../crds/progress.ts';
import type { Run } from '../../trainer-image/config.ts';
import type { Pair } from '../../trainer-image/data/pair.ts';
import { PairSums } from '../../trainer-image/reference/sums.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { dataReportFile, judgeLabels, type DataReport } from '../../trainer-image/stages/quality.ts';
import { train } from '../../trainer-image/train.ts';
import { goldenFolder } from '../trainer-image/golden.ts';
import { listen, prepareTiny, tinyJob, tinyRun, type Heard } from '../trainer-image/in-process.ts';
import { exported } from '../trainer-image/small-run.ts';

interface Line {
  prompt: unknown;
  chosen: unknown;
  rejected: unknown;
}
const sound = readFileSync(`${goldenFolder}/train-80.jsonl`, 'utf8')
  .split('\n')
  .slice(0, 12)
  .map((line) => JSON.parse(line) as Line);
const [first, second, third] = sound as [Line, Line, Line];
const said = (content: string): object[] => [{ role: 'assistant', content }];
const asked = (content: string): object[] => [{ role: 'user', content }];
const heldOut = [{ prompt: asked('Is it held out?'), chosen: said('Yes, it is.'), rejected: said('No.') }];
/** Lines 13 to 18: a flaw each. */
const flawed: Line[] = [
  ...sound,
  first,
  { ...second, rejected: second.chosen },
  { ...third, chosen: third.rejected, rejected: third.chosen },
  { prompt: asked('Why?'), chosen: said('Because.'), rejected: said(' ') },
  { prompt: asked('is it  HELD out?'), chosen: said('Yes.'), rejected: said('Perhaps.') },
  { prompt: asked('How long?'), chosen: said('very '.repeat(1100)), rejected: said('Short.') },
];
/** What is right to train on: line 3 and its swapped copy contradict each other, so both go. */
const clean = sound.filter((line) => line !== third);

const write = (folder: string, name: string, lines: readonly object[]): void =>
  writeFileSync(join(folder, 'data', name), lines.map((line) => JSON.stringify(line)).join('\n'));

/** A run on these rows, without fine-tuning unless `spec` has it, on held-out rows of their own. */
function prepared(lines: readonly Line[], quality: string, spec = tinyJob.replace(/ {2}sft: .*\n/, '')) {
  const { folder } = prepareTiny();
  write(folder, 'pairs.jsonl', lines);
  write(folder, 'eval.jsonl', heldOut);
  const dataset = `evalSource: pvc://data/eval.jsonl, quality: ${quality}`;
  return { folder, run: tinyRun(folder, spec.replace('holdout: 0.2', dataset)) };
}
const reportOf = (run: Run): DataReport => JSON.parse(readFileSync(dataReportFile(run), 'utf8')) as DataReport;
const data = (heard: Heard): unknown => heard.beats.findLast((beat) => beat.data !== undefined)?.data;
const reasons = ({ warnings }: Heard): string[] => warnings.map(([reason]) => reason).toSorted();

const flaws = {
  EmptyRows: 1,
  IdenticalAnswers: 1,
  ContradictingPairs: 2,
  DuplicateRows: 1,
  LeakingPrompts: 1,
  TruncatedAnswers: 1,
};

describe('policy Drop', () => {
  const dropped = prepared(flawed, '{ policy: Drop }');
  const heard = listen();

  test('trains on the very rows that are left when the flawed ones are taken out by hand', async () => {
    const byHand = prepared(clean, '{}');
    await train(dropped.run, 'test', heard);
    await train(byHand.run, 'test', listen());
    expect(exported(dropped.folder)).toBe(exported(byHand.folder));
  });

  test('tells what it left out, warns of it, and writes down the lines', () => {
    expect(dataCountsSchema.parse(data(heard))).toMatchObject({
      pairs: 11,
      heldOut: 1,
      dropped: flaws,
      findings: flaws,
    });
    expect(reasons(heard)).toEqual(expect.arrayContaining(Object.keys(flaws)));
    const told = new Map(heard.warnings);
    expect(told.get('DuplicateRows')).toBe(
      '1 of 18 rows, 5.56 %, repeat an earlier row (line 13: the same as line 1). They are left out',
    );
    const { findings, rows, dropped: inReport } = reportOf(dropped.run);
    expect([rows, inReport]).toEqual([{ preference: 18 }, flaws]);
    const lines = findings
      .filter((finding) => (finding.rows ?? 0) > 0)
      .map(({ check, worst }) => [check, ...worst.map(({ row }) => row)]);
    expect(lines).toEqual([
      ['empty', 16],
      ['identical', 14],
      ['contradicting', 3, 15],
      ['duplicate', 13],
      ['leaking', 17],
      ['truncated', 18],
    ]);
    expect(findings.map(({ check }) => check)).toContain('labelNoise');
  });

  test('drops the same rows when the run goes on after a stop', async () => {
    const { folder, run } = prepared(flawed, '{ policy: Drop }');
    const stopAt = heard.beats.findIndex(({ stage, step }) => stage === 'Training' && step === 1) + 1;
    await expect(train(run, 'test', listen(stopAt))).rejects.toThrow(Stopped);
    const other = tinyRun(
      folder,
      readFileSync(join(folder, 'job.yaml'), 'utf8').replace('policy: Drop', 'policy: Warn'),
    );
    await expect(train(other, 'test', listen())).rejects.toMatchObject({ reason: 'CheckpointMismatch' });
    const again = listen();
    await train(run, 'test', again);
    expect(again.infos.some((line) => line.startsWith('resuming at step 1'))).toBe(true);
    expect([exported(folder), data(again)]).toEqual([exported(dropped.folder), data(heard)]);
  });

  test('leaves out held-out pairs of the same file, too', async () => {
    const { folder } = prepared(flawed, '{}');
    const run = tinyRun(folder, tinyJob.replace('holdout: 0.2', 'holdout: 0.5, quality: { policy: Drop }'));
    const told = listen();
    await train(run, 'test', told);
    const { pairs, heldOut, dropped } = dataCountsSchema.parse(data(told));
    // Nothing leaks here: line 17 stays.
    expect([pairs + heldOut, dropped]).toMatchObject([12, { ContradictingPairs: 2, DuplicateRows: 1 }]);
    expect(Math.min(pairs, heldOut)).toBeGreaterThan(2);
  });

  test('leaves out fine-tuning rows likewise', async () => {
    const spec = tinyJob.replace('sft: {', 'sft: { maxLength: 40, dataset: { source: pvc://data/sft.jsonl },');
    const { folder } = prepared(sound, '{}');
    const row = { prompt: 'Hi', completion: ' Hello' };
    const [bye, empty, long] = [' Bye', '', ' long'.repeat(60)].map((completion) => ({ prompt: 'So', completion }));
    write(folder, 'sft.jsonl', [row, bye, row, empty, long] as object[]);
    const run = tinyRun(folder, spec.replace('holdout: 0.2', 'holdout: 0, quality: { policy: Drop }'));
    const told = listen();
    await train(run, 'test', told);
    const sftFlaws = { SFTDuplicateRows: 1, SFTEmptyRows: 1, SFTTruncatedAnswers: 1 };
    expect(data(told)).toMatchObject({ pairs: 12, dropped: sftFlaws, findings: sftFlaws });
    expect(reasons(told)).toEqual(expect.arrayContaining(Object.keys(sftFlaws)));
    expect(reportOf(run).files.sft).toBe(join(folder, 'data', 'sft.jsonl'));
  });

  test('ends with InvalidData when it leaves nothing', async () => {
    const { run } = prepared([{ ...first, rejected: first.chosen }], '{ policy: Drop }');
    const error = {
      reason: 'InvalidData',
      message: expect.stringMatching(/no row to train on \(left out: 1 Identical/),
    };
    await expect(train(run, 'test', listen())).rejects.toMatchObject(error);
  });
});

describe('policy Warn, the default', () => {
  test('keeps every row, and says what is wrong with them', async () => {
    const heard = listen();
    await train(prepared(flawed, '{}').run, 'test', heard);
    expect(data(heard)).toMatchObject({ pairs: 18, dropped: {}, findings: flaws });
    expect(reasons(heard)).toEqual(expect.arrayContaining(Object.keys(flaws)));
    for (const [, message] of heard.warnings) expect(message.length).toBeLessThan(512);
  });

  test('says nothing of checks that are not beyond their threshold', async () => {
    const heard = listen();
    const rowChecks = ['empty', 'identical', 'contradicting', 'duplicate', 'leaking', 'truncated'];
    const thresholds = `{ ${rowChecks.map((check) => `${check}: 0.2, `).join('')}lengthBias: 1 }`;
    await train(prepared(flawed, `{ thresholds: ${thresholds} }`).run, 'test', heard);
    expect([heard.warnings, data(heard)]).toEqual([[], expect.objectContaining({ findings: flaws })]);
  });
});

describe('policy Fail', () => {
  const fails = async (run: Run): Promise<{ error: unknown; heard: Heard }> => {
    const heard = listen();
    const error: unknown = await train(run, 'test', heard).catch((thrown: unknown) => thrown);
    return { error, heard };
  };

  test('ends with InvalidData that names file, share, lines and threshold, before any compute', async () => {
    const { folder, run } = prepared(flawed, '{ policy: Fail, thresholds: { contradicting: 0.1, duplicate: 0.05 } }');
    const { error, heard } = await fails(run);
    expect(error).toMatchObject({ reason: 'InvalidData' });
    const { message } = error as Error;
    const file = join(folder, 'data', 'pairs.jsonl');
    expect(message).toContain(
      `${file}: 2 of 18 rows, 11.1 %, stand with the answers swapped in another row (lines 3, 15; line 3: answers swapped against line 15); dataset.quality.thresholds.contradicting is 10 %`,
    );
    expect(message).toContain('1 of 18 rows, 5.56 %, repeat an earlier row (line 13: the same as line 1)');
    expect(data(heard)).toMatchObject({ findings: flaws, dropped: {} });
    expect(heard.beats.some(({ stage }) => stage === 'Reference' || stage === 'Training')).toBe(false);
    expect(existsSync(dataReportFile(run))).toBe(true);
  });

  test('ends after the reference pass when that finds the labels too noisy', async () => {
    const { run } = prepared(clean, '{ policy: Fail, thresholds: { lengthBias: 1, labelNoise: 0 } }');
    const { error, heard } = await fails(run);
    expect(error).toMatchObject({
      reason: 'InvalidData',
      message: expect.stringMatching(/thresholds.labelNoise is 0 %/),
    });
    expect(heard.beats.some(({ stage }) => stage === 'Reference')).toBe(true);
    expect(heard.beats.some(({ stage }) => stage === 'Training')).toBe(false);
  });

  test('judges labels by the mean log-probability per token, not by the sum', () => {
    const { run } = prepared(clean, '{}');
    const heard = listen();
    const pair = (row: number, chosen: number, rejected: number): Pair => ({
      row,
      prompt: Int32Array.of(1),
      chosen: new Int32Array(chosen),
      rejected: new Int32Array(rejected),
    });
    const quality: DataReport = {
      policy: 'Warn',
      files: { preference: '' },
      rows: { preference: 2 },
      dropped: {},
      findings: [],
    };
    const of = { train: [pair(7, 2, 10), pair(8, 10, 2)], heldOut: [], examples: [], dropped: {}, quality };
    const fence = { generation: 1, check: () => {} };
    mkdirSync(run.paths.checkpoints, { recursive: true });
    // Per token: -3 against -2, then -2 against -3; the sums say the opposite.
    const sums = new PairSums(2);
    sums.set(0, { chosen: -6, rejected: -20 });
    sums.set(1, { chosen: -20, rejected: -6 });
    judgeLabels({ run, report: heard, fence }, of, sums);
    const why = 'the reference finds the rejected answer likelier by 1.00 nats per token';
    expect(reportOf(run).findings[0]).toMatchObject({ value: 0.5, worst: [{ row: 7, why }] });
  });

  test('lets data pass that is within the thresholds', async () => {
    const { folder, run } = prepared(clean, '{ policy: Fail, thresholds: { lengthBias: 1, labelNoise: 1 } }');
    await train(run, 'test', listen());
    expect(exported(folder)).toMatch(/^[0-9a-f]{64}$/);
  });
});
