import { readFileSync } from 'node:fs';
import { preferenceOf } from '../../trainer-image/data/messages.ts';
import { tokenisePreference, truncate, type TokenisedAnswers } from '../../trainer-image/data/tokenise.ts';
import { loadTokenizer } from '../../trainer-image/data/tokenizer.ts';
import { goldenFolder } from '../trainer-image/golden.ts';
import type { Compared, Parts } from './compared.ts';

export interface TokenisationCase {
  rows: Record<string, unknown>[];
  args: { max_length?: number | null; truncation_mode?: string };
  kept: number;
  ids: { prompt_ids: number[]; chosen_ids: number[]; rejected_ids: number[] }[];
  /** Null where TRL keeps no row. */
  batch?: { input_ids: number[][]; attention_mask: number[][] } | null;
}

/** How TRL tokenises rows of every form; what the tiny Llama's and the tiny GPT-2's tokenizer do is the same. */
export const tokenisation = JSON.parse(readFileSync(`${goldenFolder}/tokenisation.json`, 'utf8')) as {
  versions: Record<string, string>;
  cases: Record<string, TokenisationCase>;
};

const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`);
const columns = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };
const tokensOf = (row: Record<string, unknown>, i: number): TokenisedAnswers =>
  tokenisePreference(preferenceOf('golden', { row: i + 1, columns: row }, columns), tokenizer);

/** Token by token: equal or not. */
function eachId(what: string, own: ArrayLike<number>, theirs: readonly number[]): Compared[] {
  const length = Math.max(own.length, theirs.length);
  return Array.from({ length }, (_, i) => {
    return { what: `${what}, token ${i}`, own: own[i] ?? -1, theirs: theirs[i] ?? -1, tolerance: 0.5 };
  });
}

function beforeTruncation(left: readonly TokenisedAnswers[], { ids }: TokenisationCase): Compared[] {
  return left.flatMap(({ prompt, completions: [chosen = [], rejected = []] }, row) => [
    ...eachId(`row ${row}, prompt`, prompt, ids[row]?.prompt_ids ?? []),
    ...eachId(`row ${row}, chosen`, chosen, ids[row]?.chosen_ids ?? []),
    ...eachId(`row ${row}, rejected`, rejected, ids[row]?.rejected_ids ?? []),
  ]);
}

/** TRL's collated batch: the chosen answers, then the rejected ones, each behind its prompt. */
function afterTruncation({ rows, args, batch }: TokenisationCase): Compared[] {
  const left = rows
    .map((row, i) => truncate(tokensOf(row, i), args.max_length ?? 1024))
    .filter((tokens) => typeof tokens !== 'string');
  const own = [0, 1].flatMap((side) =>
    left.map(({ prompt, completions }) => [...prompt, ...(completions[side] as Int32Array)]),
  );
  const theirs = batch?.input_ids.map((row, i) => row.filter((_, j) => batch.attention_mask[i]?.[j] === 1)) ?? [];
  return theirs.flatMap((row, i) => eachId(`sequence ${i}`, own[i] ?? [], row));
}

/** A case of TRL's: which rows are kept, their ids before truncation, and after it where TRL truncates as we do. */
export function tokenised(known: TokenisationCase): Parts {
  const { rows, args, kept, batch } = known;
  const left = rows.map(tokensOf).filter((tokens) => typeof truncate(tokens, args.max_length ?? Infinity) !== 'string');
  const parts: Parts = { rows: [{ what: 'rows kept', own: left.length, theirs: kept, tolerance: 0.5 }] };
  if (left.length > 0) parts['token ids'] = beforeTruncation(left, known);
  // TRL's other mode, keep_end, can leave an answer without its prompt: it is not offered.
  if (batch && args.truncation_mode === undefined) parts['truncated ids'] = afterTruncation(known);
  return parts;
}
