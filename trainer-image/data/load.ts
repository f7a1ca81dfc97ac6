import { TrainerError } from '../errors.ts';
import { isHeldOut } from './holdout.ts';
import { exampleOf, hasColumn, preferenceOf, type Columns } from './messages.ts';
import type { Example, Pair } from './pair.ts';
import { exampleForm, pairForm, TokenRows, type Rows } from './token-rows.ts';
import type { DatasetFormat } from '../../crds/dataset.ts';
import type { CheckedRow } from './quality/row-checks.ts';
import { rowError, type Row } from './row.ts';
import { readParts, type Part } from './rows.ts';
import { tokenise, tokenisePreference, truncate, type TokenisedAnswers } from './tokenise.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Rows left out, by reason. */
export type DroppedCounts = Record<string, number>;

export interface LoadOptions {
  columns: Columns;
  /** By the file's name unless given. */
  format?: DatasetFormat | undefined;
  maxLength: number;
  /** Of a mixture, read in the place of the file. */
  parts?: readonly Part[] | undefined;
  /** For the file of tokens. */
  folder?: string | undefined;
  maxPairs?: number | undefined;
  /** Called after each row with the number of rows so far: a beat, and the place to stop (by throwing). */
  onRow?: (rows: number) => void;
  /** Sees every row that could be trained on, also one that is left out for its length. */
  inspect?: ((row: CheckedRow) => void) | undefined;
}

/** Pairs for training and those held out, with the prompt's normalised text deciding the side. */
export interface PairSet {
  /** Both in files: there may be more of them than memory holds. */
  train: Rows<Pair>;
  heldOut: Rows<Pair>;
  dropped: DroppedCounts;
}

/** Tokenises a row; what the tokenizer or the chat template does not take is an error of that row. */
function tokensOf(file: string, row: Row, tokens: () => TokenisedAnswers): TokenisedAnswers {
  try {
    return tokens();
  } catch (error) {
    if (error instanceof TrainerError) throw error;
    throw rowError(file, row, `tokenizer or chat template refuse it (${(error as Error).message})`, error);
  }
}

/** A data set has prompts, or has none in any row: a single one that is missing is a mistake and not the shorter form. */
function promptsInAllOrNone(file: string, column: string): (row: Row) => void {
  let first: { row: Row; has: boolean } | undefined;
  return (row) => {
    const has = hasColumn(row, column);
    first ??= { row, has };
    if (has === first.has) return;
    const other = `${first.row.at ?? `line ${first.row.row}`} has ${first.has ? 'one' : 'none'}`;
    throw rowError(file, row, `it has ${has ? 'a' : 'no'} ${column}, and ${other}`);
  };
}

/** What is read: the parts of a mixture, or the one file. */
const partsOf = (path: string, { parts, format }: LoadOptions): readonly Part[] =>
  parts ?? [{ path, weight: 1, format }];

function pushCopies<T extends { row: number }>(rows: TokenRows<T>, row: T, copies: number): void {
  for (let copy = 0; copy < copies; copy++) rows.push(row);
}

const count = (dropped: DroppedCounts, reason: string): void => {
  dropped[reason] = (dropped[reason] ?? 0) + 1;
};

/** Reads and tokenises preference pairs; a share of the prompts is held out. Throws InvalidData with the line. */
export async function loadPairs(
  file: string,
  tokenizer: Tokenizer,
  options: LoadOptions & { holdout: number },
): Promise<PairSet> {
  const rowsInFile = (): TokenRows<Pair> => new TokenRows(pairForm, options.folder);
  const set = { train: rowsInFile(), heldOut: rowsInFile(), dropped: {} as DroppedCounts };
  const parts = partsOf(file, options);
  const checks = parts.map(() => promptsInAllOrNone(file, options.columns.prompt));
  let rows = 0;
  for await (const row of readParts(parts)) {
    if (row.copies === 0) continue;
    checks[row.part]?.(row);
    const preference = preferenceOf(file, row, options.columns);
    const whole = tokensOf(file, row, () => tokenisePreference(preference, tokenizer));
    const { prompt } = preference;
    options.inspect?.({ row: row.row, prompt, answers: [preference.chosen, preference.rejected], tokens: whole });
    const tokens = truncate(whole, options.maxLength);
    if (typeof tokens === 'string') count(set.dropped, tokens);
    else {
      const [chosen, rejected] = tokens.completions as [Int32Array, Int32Array];
      const pair = { row: row.row, prompt: tokens.prompt, chosen, rejected };
      if (isHeldOut(preference.prompt, options.holdout)) set.heldOut.push(pair);
      else pushCopies(set.train, pair, row.copies);
    }
    rows += 1;
    options.onRow?.(rows);
    if (rows === options.maxPairs) break;
  }
  if (set.train.length + set.heldOut.length === 0) throw nothingLeft(file, rows, set.dropped);
  return set;
}

/** Reads and tokenises fine-tuning examples. Throws InvalidData with the line. */
export async function loadExamples(
  file: string,
  tokenizer: Tokenizer,
  options: LoadOptions & { holdout: number },
): Promise<{ examples: Rows<Example>; dropped: DroppedCounts }> {
  const examples = new TokenRows(exampleForm, options.folder);
  const dropped: DroppedCounts = {};
  let rows = 0;
  for await (const row of readParts(partsOf(file, options))) {
    if (row.copies === 0) continue;
    const { prompt, completion, template } = exampleOf(file, row, options.columns);
    const whole = tokensOf(file, row, () => tokenise({ prompt, completions: [completion], template }, tokenizer));
    const tokens = truncate(whole, options.maxLength);
    // A prompt that is held out from preference training must not be seen here either.
    const heldOut = isHeldOut(prompt, options.holdout);
    if (!heldOut) options.inspect?.({ row: row.row, prompt, answers: [completion], tokens: whole });
    if (heldOut) count(dropped, 'HeldOut');
    else if (typeof tokens === 'string') count(dropped, tokens);
    else {
      const example = { row: row.row, prompt: tokens.prompt, completion: tokens.completions[0] as Int32Array };
      pushCopies(examples, example, row.copies);
    }
    rows += 1;
    options.onRow?.(rows);
    if (rows === options.maxPairs) break;
  }
  if (examples.length === 0) throw nothingLeft(file, rows, dropped);
  return { examples, dropped };
}

function nothingLeft(file: string, rows: number, dropped: DroppedCounts): TrainerError {
  const reasons = Object.entries(dropped).map(([reason, number]) => `${number} ${reason}`);
  const why =
    rows === 0 ? 'it has no rows' : `of ${rows} rows none is left (${reasons.join(', ')}): raise training.maxLength?`;
  return new TrainerError('InvalidData', `${file}: ${why}`);
}
