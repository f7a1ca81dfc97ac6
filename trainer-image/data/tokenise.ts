import type { Message, Preference, TemplateArguments, Text } from './messages.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Token ids of a prompt and its answers, not truncated. */
export interface TokenisedAnswers {
  prompt: number[];
  completions: number[][];
}

function sharedPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

/** A text that carries the terminator already gets no second one: the tokenizer sees to it, as the template does in a conversation. */
const wholeText = (prompt: string, completion: string, tokenizer: Tokenizer): number[] =>
  tokenizer.encode(prompt + completion + tokenizer.eosToken);

/**
 * Tokenises as TRL does: prompt, and prompt with each answer, on their own; the boundary is at their longest common token
 * prefix. A token that merges over the boundary thus belongs to the answers.
 */
export function tokenise(
  { prompt, completions, template }: { prompt: Text; completions: readonly Text[]; template?: TemplateArguments },
  tokenizer: Tokenizer,
): TokenisedAnswers {
  const chat = typeof prompt !== 'string';
  const alone = chat ? tokenizer.encodeChat(prompt, true, template) : tokenizer.encode(prompt);
  const whole = completions.map((completion) =>
    chat
      ? tokenizer.encodeChat([...prompt, ...(completion as Message[])], false, template)
      : wholeText(prompt, completion as string, tokenizer),
  );
  const boundary = Math.min(...whole.map((ids) => sharedPrefix(alone, ids)));
  return { prompt: alone.slice(0, boundary), completions: whole.map((ids) => ids.slice(boundary)) };
}

/** Why a row is left out. */
export type Dropped = 'PromptTooLong' | 'EmptyPrompt' | 'EmptyCompletion';

/**
 * Truncates to `maxLength` tokens of prompt and answer together: longer answers lose their end (keep_start). A prompt that
 * leaves no room is a reason to drop the row, as in TRL.
 */
export function truncate(
  tokens: TokenisedAnswers,
  maxLength: number,
): { prompt: Int32Array; completions: Int32Array[] } | Dropped {
  const room = maxLength - tokens.prompt.length;
  if (tokens.prompt.length === 0) return 'EmptyPrompt';
  if (room <= 0) return 'PromptTooLong';
  if (tokens.completions.some((completion) => completion.length === 0)) return 'EmptyCompletion';
  return {
    prompt: Int32Array.from(tokens.prompt),
    completions: tokens.completions.map((completion) => Int32Array.from(completion.slice(0, room))),
  };
}

/** Token ids of a preference row. */
export function tokenisePreference(row: Preference, tokenizer: Tokenizer): TokenisedAnswers {
  const { prompt, chosen, rejected, template } = row;
  return tokenise({ prompt, completions: [chosen, rejected], template }, tokenizer);
}
