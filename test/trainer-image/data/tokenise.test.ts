import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { preferenceOf } from '../../../trainer-image/data/messages.ts';
import { tokenise, tokenisePreference, truncate } from '../../../trainer-image/data/tokenise.ts';
import { loadTokenizer } from '../../../trainer-image/data/tokenizer.ts';
import { goldenFolder } from '../golden.ts';

interface Case {
  rows: Record<string, unknown>[];
  args: { max_length?: number | null; truncation_mode?: string };
  kept: number;
  ids: { prompt_ids: number[]; chosen_ids: number[]; rejected_ids: number[] }[];
  batch?: { input_ids: number[][]; attention_mask: number[][] };
}

const { cases } = JSON.parse(readFileSync(`${goldenFolder}/tokenisation.json`, 'utf8')) as {
  cases: Record<string, Case>;
};
const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`);
const columns = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };
const tokensOf = (row: Record<string, unknown>, i: number) =>
  tokenisePreference(preferenceOf('golden', { row: i + 1, columns: row }, columns), tokenizer);

describe("tokenisation equals TRL's", () => {
  test.each(Object.entries(cases))('%s', (_, { rows, args, kept, ids }) => {
    // TRL lists the rows it keeps, before truncation.
    const own = rows.map(tokensOf);
    const left = own.filter((tokens) => typeof truncate(tokens, args.max_length ?? Infinity) !== 'string');
    expect(left.length).toBe(kept);
    expect(left.map(({ prompt, completions: [chosen, rejected] }) => [prompt, chosen, rejected])).toEqual(
      ids.map((row) => [row.prompt_ids, row.chosen_ids, row.rejected_ids]),
    );
  });

  const truncated = Object.entries(cases).filter(([, { args, batch }]) => batch && args.truncation_mode === undefined);
  test.each(truncated)('truncation of %s', (_, { rows, args, batch }) => {
    const left = rows
      .map((row, i) => truncate(tokensOf(row, i), args.max_length ?? 1024))
      .filter((t) => typeof t !== 'string');
    const [chosen, rejected] = [0, 1].map((side) =>
      left.map(({ prompt, completions }) => [...prompt, ...(completions[side] as Int32Array)]),
    ) as [number[][], number[][]];
    const expected = batch?.input_ids.map((row, i) => row.filter((__, j) => batch.attention_mask[i]?.[j] === 1)) ?? [];
    expect([...chosen, ...rejected].slice(0, expected.length)).toEqual(expected);
  });
});

describe('tokenisation', () => {
  test('writes the terminator once, and the template’s special tokens once', () => {
    const { completions } = tokenise('Hi', [' there', ' there<|im_end|>'], tokenizer);
    expect(completions[0]).toEqual(completions[1]);
    const chat = tokenise([{ role: 'user', content: 'Hi' }], [[{ role: 'assistant', content: 'Yes' }]], tokenizer);
    expect(tokenizer.decode(chat.prompt)).toContain('Hi');
    expect(chat.prompt.filter((id) => id === 1)).toHaveLength(2);
    expect(chat.completions[0]?.filter((id) => id === 2)).toHaveLength(1);
  });

  test.each([
    ['PromptTooLong', [1, 2, 3], [[4]], 3],
    ['EmptyPrompt', [], [[4]], 3],
    ['EmptyCompletion', [1], [[]], 3],
  ])('drops a row for %s', (reason, prompt, completions, maxLength) => {
    expect(truncate({ prompt, completions }, maxLength)).toBe(reason);
  });
});
