import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { normalisePrompt } from '../../../trainer-image/data/holdout.ts';
import { loadExamples, loadPairs } from '../../../trainer-image/data/load.ts';
import type { CheckedRow } from '../../../trainer-image/data/quality/row-checks.ts';
import { epochOrder, stepBatch } from '../../../trainer-image/data/order.ts';
import { loadTokenizer } from '../../../trainer-image/data/tokenizer.ts';
import { goldenFolder } from '../golden.ts';

const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`);
const columns = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };
const options = { columns, maxLength: 64, holdout: 0 };
const folder = mkdtempSync(join(tmpdir(), 'load-'));

function fileOf(name: string, lines: (object | string)[]): string {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  const file = join(folder, name);
  writeFileSync(file, name.endsWith('.gz') ? gzipSync(text) : text);
  return file;
}
const pair = (prompt: string): object => ({ prompt, chosen: ' yes', rejected: ' no' });

describe('pairs', () => {
  test.each(['pairs.jsonl', 'pairs.jsonl.gz'])(
    'are read from %s with their lines, empty lines passed over',
    async (name) => {
      const { train } = await loadPairs(fileOf(name, [pair('one'), '', pair('two')]), tokenizer, options);
      expect(train.map(({ row }) => row)).toEqual([1, 3]);
      expect(tokenizer.decode([...(train.at(0)?.chosen ?? [])])).toContain('yes');
    },
  );

  test('of one prompt are all on one side, whatever its case and spaces, and about the share is held out', async () => {
    const prompts = Array.from({ length: 300 }, (_, i) => `question ${i}`);
    const file = fileOf('split.jsonl', [...prompts.map(pair), ...prompts.map((p) => pair(`  ${p.toUpperCase()} `))]);
    const { train, heldOut } = await loadPairs(file, tokenizer, { ...options, holdout: 0.2 });
    const promptOf = ({ row }: { row: number }): number => (row - 1) % 300;
    expect(heldOut.map(promptOf).filter((p) => train.map(promptOf).includes(p))).toEqual([]);
    expect(heldOut.length).toBeGreaterThan(600 * 0.12);
    expect(heldOut.length).toBeLessThan(600 * 0.28);
    expect(normalisePrompt(' Ａ  b\n')).toBe('a b');
  });

  test('of a mixture are used as often as their weights say, evenly, and held-out ones once', async () => {
    const file = (name: string): string =>
      fileOf(
        `${name}.jsonl`,
        Array.from({ length: 10 }, (_, i) => pair(`${name} ${i}`)),
      );
    const parts = [
      { path: file('half'), weight: 0.5 },
      { path: file('double'), weight: 2 },
      { path: file('more'), weight: 1.3 },
    ];
    const seen: number[] = [];
    const inspect = ({ row }: { row: number }): void => void seen.push(row);
    const { train } = await loadPairs('mixture', tokenizer, { ...options, parts, inspect });
    const rows = train.map(({ row }) => row);
    // Rows are counted on: 1-10, 11-20, 21-30.
    expect(rows.filter((row) => row <= 10)).toEqual([2, 4, 6, 8, 10]);
    expect(rows.filter((row) => row > 10 && row <= 20)).toEqual(
      [11, 12, 13, 14, 15, 16, 17, 18, 19, 20].flatMap((row) => [row, row]),
    );
    expect(rows.filter((row) => row > 20)).toEqual([21, 22, 23, 24, 24, 25, 26, 27, 27, 28, 29, 30, 30]);
    // The checks of the data see a row once.
    expect(seen).toEqual([...new Set(rows)]);
    const { heldOut } = await loadPairs('mixture', tokenizer, { ...options, parts, holdout: 0.5 });
    expect(heldOut.length).toBe(new Set(heldOut.map(({ row }) => row)).size);
  });

  test('of a mixture may have prompts in one part and none in another; a bad row names its file', async () => {
    const parts = [
      { path: fileOf('with-prompt.jsonl', [pair('a')]), weight: 1 },
      { path: fileOf('without.jsonl', [{ chosen: 'b yes', rejected: 'b no' }, { chosen: 1 }]), weight: 1 },
    ];
    await expect(loadPairs('mixture', tokenizer, { ...options, parts })).rejects.toThrow(/without\.jsonl, line 2: /);
    const { train } = await loadPairs('mixture', tokenizer, { ...options, parts, maxPairs: 2 });
    expect(train.length).toBe(2);
  });

  test('stop at maxPairs and take other column names', async () => {
    const rows = [1, 2, 3].map((i) => ({ question: `q ${i}`, good: ' a', bad: ' b' }));
    const names = { prompt: 'question', chosen: 'good', rejected: 'bad' };
    const { train } = await loadPairs(fileOf('named.jsonl', rows), tokenizer, {
      ...options,
      columns: names,
      maxPairs: 2,
    });
    expect(train.map(({ row }) => row)).toEqual([1, 2]);
  });

  test('that lose the end of an answer are kept, and shown whole to whoever inspects the rows', async () => {
    const rows = [pair('short'), { prompt: 'p', chosen: ' long'.repeat(80), rejected: ' no' }];
    const seen: number[] = [];
    const inspect = ({ tokens }: CheckedRow): void => void seen.push(tokens.completions[0]?.length ?? 0);
    const { train } = await loadPairs(fileOf('truncated.jsonl', rows), tokenizer, { ...options, inspect });
    expect(seen[1]).toBeGreaterThan(options.maxLength);
    expect(train.map(({ prompt, chosen }) => prompt.length + chosen.length)[1]).toBe(options.maxLength);
  });

  test.each([
    ['a broken line', [pair('a'), '{"prompt": '], /line 2: it is not JSON/],
    ['a list', ['[1]'], /line 1: it is not a JSON object/],
    [
      'a missing column',
      [pair('a'), { prompt: 'b', chosen: 'c' }],
      /line 2: the column "rejected" is missing; the line has prompt, chosen/,
    ],
    ['a number', [{ prompt: 'a', chosen: 3, rejected: 'b' }], /line 1: the column "chosen" is neither a text nor/],
    [
      'mixed forms',
      [{ prompt: 'a', chosen: [{ role: 'assistant', content: 'b' }], rejected: 'c' }],
      /line 1: some columns are texts/,
    ],
    ['nothing in common', [{ chosen: 'a', rejected: 'b' }], /line 1: there is no prompt/],
    ['no rows', [''], /it has no rows/],
    ['prompts that are too long', [pair('long '.repeat(100))], /of 1 rows none is left \(1 PromptTooLong\)/],
  ])('with %s are refused with the line', async (name, lines, message) => {
    const file = fileOf(`${name.replaceAll(' ', '-')}.jsonl`, lines as (object | string)[]);
    await expect(loadPairs(file, tokenizer, options)).rejects.toThrow(message);
    await expect(loadPairs(file, tokenizer, options)).rejects.toMatchObject({ reason: 'InvalidData' });
  });

  test('from a file that is missing, or cut short, are refused', async () => {
    await expect(loadPairs(join(folder, 'none.jsonl'), tokenizer, options)).rejects.toThrow(
      /none.jsonl: it is missing/,
    );
    const cut = join(folder, 'cut.jsonl.gz');
    writeFileSync(cut, gzipSync(`${JSON.stringify(pair('a'))}\n`.repeat(500)).subarray(0, 60));
    await expect(loadPairs(cut, tokenizer, options)).rejects.toThrow(
      /cut.jsonl.gz: it cannot be read \(unexpected end/,
    );
  });
});

describe('fine-tuning examples', () => {
  test.each([
    [
      'messages',
      {
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Hello' },
        ],
      },
      'Hello',
    ],
    ['prompt and completion', { prompt: 'Hi', completion: ' Hello' }, 'Hello'],
    ['a preference', { prompt: 'Hi', chosen: ' Hello', rejected: ' No' }, 'Hello'],
  ])('are read from %s', async (name, row, text) => {
    const { examples } = await loadExamples(fileOf(`sft-${name}.jsonl`, [row]), tokenizer, options);
    expect(tokenizer.decode([...(examples.at(0)?.completion ?? [])])).toContain(text);
  });

  test('leave out prompts that are held out from preference training', async () => {
    const rows = Array.from({ length: 50 }, (_, i) => ({ prompt: `q ${i}`, completion: ' a' }));
    const file = fileOf('sft-held.jsonl', rows);
    const seen: number[] = [];
    const inspect = ({ row }: CheckedRow): void => void seen.push(row);
    const { examples, dropped } = await loadExamples(file, tokenizer, { ...options, holdout: 0.5, inspect });
    const { heldOut } = await loadPairs(
      fileOf(
        'held.jsonl',
        rows.map(({ prompt }) => pair(prompt)),
      ),
      tokenizer,
      { ...options, holdout: 0.5 },
    );
    expect(dropped['HeldOut']).toBe(heldOut.length);
    const used = examples.map(({ row }) => row);
    expect(seen).toEqual(used);
    expect(heldOut.map(({ row }) => row).filter((row) => used.includes(row))).toEqual([]);
  });
});

describe('the order', () => {
  const plan = { count: 10, batchSize: 4, seed: 42, shuffle: true };

  test('is a permutation, the same for the same seed and epoch, another for another', () => {
    const order = (seed: number, epoch: number): string => epochOrder(50, epoch, { seed, shuffle: true }).join();
    expect([...epochOrder(50, 0, plan)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(order(42, 0)).toBe(order(42, 0));
    expect(new Set([order(42, 0), order(42, 1), order(43, 0), order(43, 1)]).size).toBe(4);
  });

  test('covers each epoch once, its last batch smaller', () => {
    const epoch = [0, 1, 2].map((step) => stepBatch(step, plan));
    expect(epoch.map(({ items }) => items.length)).toEqual([4, 4, 2]);
    expect(epoch.flatMap(({ items }) => [...items]).sort((a, b) => a - b)).toEqual([...Array(10).keys()]);
    expect(stepBatch(3, plan).epoch).toBe(1);
    expect([...stepBatch(0, { ...plan, shuffle: false }).items]).toEqual([0, 1, 2, 3]);
  });
});
