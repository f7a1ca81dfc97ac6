import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import type { Message, TemplateArguments } from './messages.ts';
import { parseTemplate } from './template.ts';

/** What tokenisation needs of a checkpoint folder. */
export interface Tokenizer {
  /** Token ids of a text, with the tokenizer's own special tokens (a BOS, say) where it adds any and none stands yet. */
  encode(text: string): number[];
  /** Token ids of a conversation through the chat template, which writes all special tokens itself. */
  encodeChat(messages: readonly Message[], addGenerationPrompt: boolean, template?: TemplateArguments): number[];
  decode(ids: readonly number[]): string;
  eosToken: string;
  eosTokenId: number | undefined;
  hasChatTemplate: boolean;
}

type Json = Record<string, unknown>;

function readJson(folder: string, name: string): Json {
  const file = join(folder, name);
  if (!existsSync(file))
    throw new TrainerError('InvalidConfiguration', `${file} is missing: the model needs its tokenizer`);
  try {
    return z.looseObject({}).parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new TrainerError('InvalidConfiguration', `${file} is not a JSON object`, { cause: error });
  }
}

const vocabularySchema = z.object({
  model: z.object({ vocab: z.union([z.record(z.string(), z.int()), z.array(z.tuple([z.string(), z.number()]))]) }),
  added_tokens: z.array(z.object({ id: z.int(), content: z.string() })).default([]),
});

/** Every token of a folder's tokenizer.json with its id. Throws InvalidConfiguration. */
export function tokenIds(folder: string): Map<string, number> {
  const parsed = vocabularySchema.safeParse(readJson(folder, 'tokenizer.json'));
  if (!parsed.success) {
    throw new TrainerError('InvalidConfiguration', `${join(folder, 'tokenizer.json')} holds no vocabulary`);
  }
  const { model, added_tokens: added } = parsed.data;
  // Unigram's is a list of tokens with their scores.
  const own: [string, number][] = Array.isArray(model.vocab)
    ? model.vocab.map(([token], id) => [token, id])
    : Object.entries(model.vocab);
  return new Map([...own, ...added.map(({ content, id }): [string, number] => [content, id])]);
}

/** A special token stands in tokenizer_config.json as a text or as an object with its content. */
function specialToken(config: Json, name: string): string | undefined {
  const value = config[name];
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'content' in value) return String(value.content);
  return undefined;
}

const namedTemplate = z.object({ name: z.literal('default'), template: z.string() });

/**
 * The model's template: chat_template.jinja (transformers 5), else the one in tokenizer_config.json, where it may also be
 * the one named "default" of a list.
 */
function templateSource(folder: string, { chat_template: own }: Json): string | undefined {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) return readFileSync(file, 'utf8');
  if (typeof own === 'string') return own;
  return Array.isArray(own)
    ? own.map((each) => namedTemplate.safeParse(each).data).find((each) => each !== undefined)?.template
    : undefined;
}

/** A text may hold the BOS, or end with the terminator, that the tokenizer adds: each stands once. */
function withoutRepeats(
  tokens: number[],
  { bos, eos }: { bos: number | undefined; eos: number | undefined },
): number[] {
  let [from, to] = [0, tokens.length];
  while (to - from > 1 && tokens[from] === bos && tokens[from + 1] === bos) from += 1;
  while (to - from > 1 && tokens[to - 1] === eos && tokens[to - 2] === eos) to -= 1;
  return tokens.slice(from, to);
}

function createTokenizer(folder: string, config: Json): HuggingFaceTokenizer {
  const json = readJson(folder, 'tokenizer.json');
  try {
    return new HuggingFaceTokenizer(json, config);
  } catch (error) {
    const message = `${join(folder, 'tokenizer.json')} cannot be used (${(error as Error).message})`;
    throw new TrainerError('InvalidConfiguration', message, { cause: error });
  }
}

/** Loads tokenizer.json, tokenizer_config.json and the chat template. Throws InvalidConfiguration. */
export function loadTokenizer(folder: string, chatTemplate?: string): Tokenizer {
  const config = readJson(folder, 'tokenizer_config.json');
  const tokenizer = createTokenizer(folder, config);
  const eosToken = specialToken(config, 'eos_token');
  if (eosToken === undefined) {
    throw new TrainerError('InvalidConfiguration', `${folder}/tokenizer_config.json names no eos_token`);
  }
  const source = chatTemplate ?? templateSource(folder, config);
  const template = source === undefined ? undefined : parseTemplate(source);
  const bosToken = specialToken(config, 'bos_token') ?? '';
  const ids = { bos: tokenizer.token_to_id(bosToken), eos: tokenizer.token_to_id(eosToken) };
  return {
    eosToken,
    eosTokenId: ids.eos,
    hasChatTemplate: template !== undefined,
    encode: (text) => withoutRepeats(tokenizer.encode(text).ids, ids),
    // The library refuses an empty list; an answer that ends at once is no text.
    decode: (ids) => (ids.length === 0 ? '' : tokenizer.decode([...ids])),
    encodeChat: (messages, addGenerationPrompt, given) => {
      if (template === undefined) {
        const message =
          'the data is conversational and the model has no chat template, or several and none named "default": set spec.model.chatTemplate';
        throw new TrainerError('InvalidConfiguration', message);
      }
      // `tools` and `documents` are None where none are given, as in transformers: templates ask `is not none`.
      const none = { tools: null, documents: null };
      const asked = { messages, add_generation_prompt: addGenerationPrompt };
      const text = template.render({ ...none, bos_token: bosToken, eos_token: eosToken, ...given, ...asked });
      return tokenizer.encode(text, { add_special_tokens: false }).ids;
    },
  };
}
