import { defaultPrompts } from '../../crds/evaluation.ts';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Run } from '../config.ts';
import type { Pair } from '../data/pair.ts';
import { first, type Rows } from '../data/token-rows.ts';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer.ts';
import { TrainerError } from '../errors.ts';
import type { Sample } from '../metrics/samples.ts';

export interface Prompt {
  source: Sample['source'];
  tokens: Int32Array;
  text: string;
}

/** What both models are asked in the end, and how they answer. */
export interface Questions {
  prompts: readonly Prompt[];
  maxNewTokens: number;
  /** Tokens that end an answer. */
  stop: ReadonlySet<number>;
  tokenizer: Tokenizer;
}

/** Longest prompt and answer, in tokens, for a model that has learned so many positions: the answer takes what it needs. */
export function roomFor(
  positions: number,
  { maxLength, maxNewTokens }: { maxLength: number; maxNewTokens: number },
): { prompt: number; answer: number } {
  const prompt = Math.max(1, Math.min(maxLength, positions - maxNewTokens));
  return { prompt, answer: Math.max(1, Math.min(maxNewTokens, positions - prompt)) };
}

/**
 * Tokens of a text: a user's message where the model has a chat template. Of one that the template refuses none where it is
 * a default, which the user may not know of; else throws InvalidConfiguration that names it.
 */
function encode(tokenizer: Tokenizer, content: string, at: number): Int32Array {
  try {
    const chat = (): number[] => tokenizer.encodeChat([{ role: 'user', content }], true);
    return Int32Array.from(tokenizer.hasChatTemplate ? chat() : tokenizer.encode(content));
  } catch (error) {
    if (defaultPrompts.includes(content)) return new Int32Array();
    const message = `evaluation.compare.prompts[${at}] cannot be put through the chat template (${(error as Error).message}): change it, or set evaluation.compare.prompts to []`;
    throw new TrainerError('InvalidConfiguration', message, { cause: error });
  }
}

/**
 * Held-out prompts as they are, and the job's texts; made before anything is computed, so that one that cannot be used is
 * known at once. `positions`: what the model has learned, if it has learned positions.
 */
export function questionsOf({ job, paths }: Run, heldOut: Rows<Pair>, positions = Infinity): Questions {
  const { compare } = job.spec.evaluation;
  const tokenizer = loadTokenizer(paths.model, job.spec.model.chatTemplate);
  const { maxNewTokens } = compare;
  const room = roomFor(positions, { maxLength: job.spec.training.maxLength, maxNewTokens });
  const own = first(heldOut, compare.fromHeldOut).map(({ prompt }): Prompt => {
    return { source: 'heldOut', tokens: prompt, text: tokenizer.decode([...prompt]) };
  });
  const given = compare.prompts.map((text, i): Prompt => {
    return { source: 'prompts', tokens: encode(tokenizer, text, i), text };
  });
  // The end of a prompt that is too long is kept: there the template asks for the answer.
  const prompts = [...own, ...given]
    .filter(({ tokens }) => tokens.length > 0)
    .map((prompt) => ({ ...prompt, tokens: prompt.tokens.slice(-room.prompt) }));
  return { prompts, maxNewTokens: room.answer, stop: stopTokens(paths.model, tokenizer), tokenizer };
}

const eosSchema = z.object({ eos_token_id: z.union([z.int(), z.array(z.int())]).nullish() });

/** Tokens that end an answer: of generation_config.json and config.json, one or several, and the tokenizer's own. */
export function stopTokens(folder: string, tokenizer: Pick<Tokenizer, 'eosTokenId'>): Set<number> {
  const ofFile = (name: string): number[] => {
    const file = join(folder, name);
    if (!existsSync(file)) return [];
    const { eos_token_id: eos } = eosSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return [eos ?? []].flat();
  };
  const own = tokenizer.eosTokenId === undefined ? [] : [tokenizer.eosTokenId];
  return new Set([...ofFile('generation_config.json'), ...ofFile('config.json'), ...own]);
}
