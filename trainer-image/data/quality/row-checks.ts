import type { Thresholds } from '../../../crds/quality.ts';
import type { Message, Text } from '../messages.ts';
import type { TokenisedAnswers } from '../tokenise.ts';

/** A row as the checks see it. */
export interface CheckedRow {
  /** Line in the file, counted from 1. */
  row: number;
  prompt: Text;
  /** Chosen and rejected; one alone for fine-tuning. */
  answers: readonly Text[];
  /** Not truncated. */
  tokens: TokenisedAnswers;
}

/** What is wrong with a row; the worst rows are those of most weight, then the first ones. */
export interface Flaw {
  why: string;
  weight?: number;
}

export type RowCheckName = Exclude<
  keyof Thresholds,
  'lengthBias' | 'promptDiversity' | 'ngramDiversity' | 'labelNoise'
>;

interface RowCheck {
  /** Reason of the warning and of the rows left out. */
  reason: string;
  /** Ends the sentence "3 of 48 rows ..."; and what to do about them. */
  what: string;
  advice: string;
  /** Has no meaning for rows with one answer. */
  ofPairs?: true;
  /** What a row shows by itself; checks without it compare rows with each other. */
  flaw?: (row: CheckedRow, maxLength: number) => Flaw | undefined;
}

const blankMessage = (message: Message): boolean => (message.content ?? '').trim() === '' && !('tool_calls' in message);
const blank = (text: Text): boolean => (typeof text === 'string' ? text.trim() === '' : text.every(blankMessage));

function emptyText({ prompt, answers }: CheckedRow): Flaw | undefined {
  const names = answers.length === 1 ? ['completion'] : ['chosen', 'rejected'];
  const empty = [prompt, ...answers].flatMap((text, i) => (blank(text) ? [['prompt', ...names][i]] : []));
  return empty.length === 0 ? undefined : { why: `${empty.join(' and ')} without text` };
}

const sameTokens = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((token, i) => token === b[i]);

function identicalAnswers({ tokens }: CheckedRow, maxLength: number): Flaw | undefined {
  const [chosen, rejected] = tokens.completions;
  if (chosen === undefined || rejected === undefined) return undefined;
  if (sameTokens(chosen, rejected)) return { why: 'chosen and rejected are equal' };
  const room = Math.max(0, maxLength - tokens.prompt.length);
  if (room === 0 || !sameTokens(chosen.slice(0, room), rejected.slice(0, room))) return undefined;
  return { why: `chosen and rejected differ only after maxLength ${maxLength}` };
}

function truncatedAnswers({ tokens: { prompt, completions } }: CheckedRow, maxLength: number): Flaw | undefined {
  const longest = Math.max(...completions.map(({ length }) => length));
  const over = prompt.length + longest - maxLength;
  if (over <= 0) return undefined;
  const room = prompt.length < maxLength ? '' : ', which the prompt fills alone';
  const why = `prompt ${prompt.length} and answer ${longest} tokens: ${over} more than maxLength ${maxLength}${room}`;
  return { why, weight: over };
}

/** Every check of rows; their order decides under which reason a row with several flaws is left out. */
export const rowChecks: Record<RowCheckName, RowCheck> = {
  empty: {
    reason: 'EmptyRows',
    what: 'have an empty prompt or answer',
    advice: 'Remove them',
    flaw: emptyText,
  },
  identical: {
    reason: 'IdenticalAnswers',
    what: 'have two equal answers and teach nothing',
    advice: 'Remove them',
    ofPairs: true,
    flaw: identicalAnswers,
  },
  contradicting: {
    reason: 'ContradictingPairs',
    what: 'stand with the answers swapped in another row',
    advice: 'Decide which answer is right',
    ofPairs: true,
  },
  duplicate: {
    reason: 'DuplicateRows',
    what: 'repeat an earlier row',
    advice: 'Remove the copies',
  },
  leaking: {
    reason: 'LeakingPrompts',
    what: 'have a prompt of dataset.evalSource, so that held-out figures look better than they are',
    advice: 'Remove them from one of the files',
  },
  truncated: {
    reason: 'TruncatedAnswers',
    what: 'lose tokens to maxLength',
    advice: 'Raise maxLength',
    flaw: truncatedAnswers,
  },
};

export const rowCheckNames = Object.keys(rowChecks) as RowCheckName[];
