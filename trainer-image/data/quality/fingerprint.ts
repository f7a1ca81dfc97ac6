import { hash } from 'node:crypto';
import { normalisePrompt } from '../holdout.ts';
import type { Text } from '../messages.ts';

/**
 * 51 bits of the sha256 of some texts: rows are compared by it, so that a row costs 8 bytes and not its text. Among a
 * million different rows, two meet by chance once in 4,500 data sets (n^2 / 2^52).
 */
export function fingerprint(...texts: readonly string[]): number {
  const digest = hash('sha256', texts.map((text) => `${text.length}:${text}`).join(''), 'buffer');
  return digest.readUIntBE(0, 6) * 8 + ((digest[6] as number) >>> 5);
}

/** Equal prompts have equal keys: the form in which prompts are also held out. */
export const promptKey = (prompt: Text): number => fingerprint(normalisePrompt(prompt));

/** An answer as it is compared: white space around it is no difference. */
export const answerText = (answer: Text): string =>
  typeof answer === 'string'
    ? answer.trim()
    : JSON.stringify(answer.map((message) => ({ ...message, content: (message.content ?? '').trim() })));

/**
 * Key of a row's prompt and answers. Two answers are put in order first and the last bit tells which of them came first,
 * so that a row with the answers swapped has the key with that bit flipped.
 */
export function rowKey(prompt: Text, answers: readonly Text[]): number {
  const texts = answers.map(answerText);
  const sorted = texts.toSorted();
  return fingerprint(normalisePrompt(prompt), ...sorted) * 2 + (sorted[0] === texts[0] ? 0 : 1);
}

/** The key of the same row with its answers swapped. */
export const swapped = (key: number): number => (key % 2 === 0 ? key + 1 : key - 1);
