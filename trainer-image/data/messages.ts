import { rowError, type Row } from './rows.ts';

/** A message of a conversation, as chat templates read it; further keys are handed on to the template. */
export interface Message {
  role: string;
  content: string;
}
export type Text = string | Message[];

/** A preference row in either of TRL's forms, with its prompt made explicit. */
export interface Preference {
  prompt: Text;
  chosen: Text;
  rejected: Text;
}

/** Names of the columns (spec.dataset.columns). */
export interface Columns {
  prompt: string;
  chosen: string;
  rejected: string;
}

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Message).role === 'string' &&
  typeof (value as Message).content === 'string';

/** A column's text; throws InvalidData that names line and column. */
export function textOf(file: string, { row, columns }: Row, column: string): Text {
  const value = columns[column];
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.length > 0 && value.every(isMessage)) return value;
  const found = value === undefined ? 'is missing' : 'is neither a text nor a list of messages with role and content';
  const hint = value === undefined ? `; the line has ${Object.keys(columns).join(', ') || 'no column'}` : '';
  throw rowError(file, row, `the column "${column}" ${found}${hint}`);
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Length of what both have in common from their start. */
function sharedLength(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && same(a[length], b[length])) length += 1;
  return length;
}

/** The prompt as what both answers begin with (TRL's extract_prompt): whole messages, or characters up to a space. */
function implicitPrompt(file: string, row: number, chosen: Text, rejected: Text): Preference {
  let length = sharedLength(chosen, rejected);
  if (typeof chosen === 'string' && chosen[length - 1] === ' ') length -= 1;
  const [a, b] = [chosen.slice(length), rejected.slice(length)];
  if (length <= 0)
    throw rowError(file, row, 'there is no prompt, and chosen and rejected begin with nothing in common');
  if (a.length === 0 || b.length === 0) {
    throw rowError(file, row, 'there is no prompt, and one answer is no more than the beginning of the other');
  }
  return { prompt: chosen.slice(0, length), chosen: a, rejected: b };
}

/** A row in TRL's standard or conversational form, with or without a prompt. Throws InvalidData with line and column. */
export function preferenceOf(file: string, row: Row, names: Columns): Preference {
  const chosen = textOf(file, row, names.chosen);
  const rejected = textOf(file, row, names.rejected);
  const prompt = row.columns[names.prompt] === undefined ? undefined : textOf(file, row, names.prompt);
  const forms = [prompt, chosen, rejected].filter((text) => text !== undefined).map((text) => typeof text);
  if (new Set(forms).size > 1) throw rowError(file, row.row, 'some columns are texts and some are lists of messages');
  return prompt === undefined ? implicitPrompt(file, row.row, chosen, rejected) : { prompt, chosen, rejected };
}

/** Prompt and completion of a fine-tuning row: `messages`, or `prompt` and `completion`, or a preference's chosen side. */
export function exampleOf(file: string, row: Row, names: Columns): { prompt: Text; completion: Text } {
  if (row.columns['messages'] !== undefined) {
    const messages = textOf(file, row, 'messages');
    const last = messages.length - 1;
    if (typeof messages === 'string' || messages[last]?.role !== 'assistant' || last === 0) {
      throw rowError(file, row.row, '"messages" must be a conversation that ends with an assistant\'s message');
    }
    return { prompt: messages.slice(0, last), completion: messages.slice(last) };
  }
  if (row.columns['completion'] !== undefined) {
    return { prompt: textOf(file, row, names.prompt), completion: textOf(file, row, 'completion') };
  }
  const { prompt, chosen } = preferenceOf(file, row, names);
  return { prompt, completion: chosen };
}
