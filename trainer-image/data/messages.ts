import { rowError, type Row } from './row.ts';

/** A message of a conversation, as chat templates read it; further keys are handed on to the template. */
export interface Message {
  role: string;
  /** May be missing where the message only calls tools. */
  content?: string | null;
  tool_calls?: unknown;
}
export type Text = string | Message[];

/** What a row gives its chat template beside the messages: the columns `tools` and `chat_template_kwargs`, as in TRL. */
export type TemplateArguments = Record<string, unknown>;

/** A preference row in either of TRL's forms, with its prompt made explicit. */
export interface Preference {
  prompt: Text;
  chosen: Text;
  rejected: Text;
  template: TemplateArguments;
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
  (typeof (value as Message).content === 'string' ||
    (Array.isArray((value as Message).tool_calls) && ((value as Message).content ?? '') === ''));

/** A column's text; throws InvalidData that names line and column. */
export function textOf(file: string, row: Row, column: string): Text {
  const value = row.columns[column] ?? undefined;
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.length > 0 && value.every(isMessage)) return value;
  const found = value === undefined ? 'is missing' : 'is neither a text nor a list of messages with role and content';
  const hint = value === undefined ? `; the line has ${Object.keys(row.columns).join(', ') || 'no column'}` : '';
  throw rowError(file, row, `the column "${column}" ${found}${hint}`);
}

/** A column that is there; one that is null counts as missing, as Parquet has every column in every row. */
export const hasColumn = (row: Row, column: string): boolean => (row.columns[column] ?? undefined) !== undefined;

/** A column that may also be written as JSON text, as TRL's `tools`. */
function jsonColumn(file: string, row: Row, column: string): unknown {
  const value = row.columns[column];
  if (typeof value !== 'string') return value ?? undefined;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw rowError(file, row, `the column "${column}" is a text that is not JSON`, error);
  }
}

/** The row's own arguments of the chat template. Throws InvalidData with line and column. */
function templateArguments(file: string, row: Row): TemplateArguments {
  const tools = jsonColumn(file, row, 'tools');
  if (tools !== undefined && !Array.isArray(tools)) throw rowError(file, row, 'the column "tools" is not a list');
  const given = jsonColumn(file, row, 'chat_template_kwargs') ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw rowError(file, row, 'the column "chat_template_kwargs" is not an object');
  }
  return { ...given, ...(tools === undefined ? {} : { tools }) };
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
function implicitPrompt(file: string, row: Row, chosen: Text, rejected: Text): Omit<Preference, 'template'> {
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

function requireOneForm(file: string, row: Row, texts: readonly (Text | undefined)[]): void {
  const forms = texts.filter((text) => text !== undefined).map((text) => typeof text);
  if (new Set(forms).size > 1) throw rowError(file, row, 'some columns are texts and some are lists of messages');
}

/** A row in TRL's standard or conversational form, with or without a prompt. Throws InvalidData with line and column. */
export function preferenceOf(file: string, row: Row, names: Columns): Preference {
  const chosen = textOf(file, row, names.chosen);
  const rejected = textOf(file, row, names.rejected);
  const prompt = hasColumn(row, names.prompt) ? textOf(file, row, names.prompt) : undefined;
  requireOneForm(file, row, [prompt, chosen, rejected]);
  const texts = prompt === undefined ? implicitPrompt(file, row, chosen, rejected) : { prompt, chosen, rejected };
  return { ...texts, template: templateArguments(file, row) };
}

/** A fine-tuning row. */
export interface FineTuning {
  prompt: Text;
  completion: Text;
  template: TemplateArguments;
}

/** Prompt and completion of a fine-tuning row: `messages`, or `prompt` and `completion`, or a preference's chosen side. */
export function exampleOf(file: string, row: Row, names: Columns): FineTuning {
  const template = templateArguments(file, row);
  if (hasColumn(row, 'messages')) {
    const messages = textOf(file, row, 'messages');
    const last = messages.length - 1;
    if (typeof messages === 'string' || messages[last]?.role !== 'assistant' || last === 0) {
      throw rowError(file, row, '"messages" must be a conversation that ends with an assistant\'s message');
    }
    return { prompt: messages.slice(0, last), completion: messages.slice(last), template };
  }
  if (hasColumn(row, 'completion')) {
    const [prompt, completion] = [textOf(file, row, names.prompt), textOf(file, row, 'completion')];
    requireOneForm(file, row, [prompt, completion]);
    return { prompt, completion, template };
  }
  const { prompt, chosen } = preferenceOf(file, row, names);
  return { prompt, completion: chosen, template };
}
