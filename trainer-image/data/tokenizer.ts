import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { TrainerError } from '../errors.ts';
import type { Message } from './messages.ts';

/** What tokenisation needs of a checkpoint folder. */
export interface Tokenizer {
  /** Token ids of a text, with the tokenizer's own special tokens (a BOS, say) where it adds any. */
  encode(text: string): number[];
  /** Token ids of a conversation through the chat template, which writes all special tokens itself. */
  encodeChat(messages: readonly Message[], addGenerationPrompt: boolean): number[];
  decode(ids: readonly number[]): string;
  eosToken: string;
}

type Json = Record<string, unknown>;

function readJson(folder: string, name: string): Json {
  const file = join(folder, name);
  if (!existsSync(file))
    throw new TrainerError('InvalidConfiguration', `${file} is missing: the model needs its tokenizer`);
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Json;
  } catch (error) {
    throw new TrainerError('InvalidConfiguration', `${file} is not JSON`, { cause: error });
  }
}

/** A special token stands in tokenizer_config.json as a text or as an object with its content. */
function specialToken(config: Json, name: string): string | undefined {
  const value = config[name];
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'content' in value) return String(value.content);
  return undefined;
}

/** The template: the job's own, else chat_template.jinja (transformers 5), else the one in tokenizer_config.json. */
function templateSource(folder: string, config: Json): string | undefined {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) return readFileSync(file, 'utf8');
  return typeof config['chat_template'] === 'string' ? config['chat_template'] : undefined;
}

function parseTemplate(source: string): Template {
  try {
    return new Template(source);
  } catch (error) {
    throw new TrainerError('InvalidConfiguration', `the chat template cannot be parsed: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Loads tokenizer.json, tokenizer_config.json and the chat template. Throws InvalidConfiguration. */
export function loadTokenizer(folder: string, chatTemplate?: string): Tokenizer {
  const config = readJson(folder, 'tokenizer_config.json');
  const tokenizer = new HuggingFaceTokenizer(readJson(folder, 'tokenizer.json'), config);
  const eosToken = specialToken(config, 'eos_token');
  if (eosToken === undefined) {
    throw new TrainerError('InvalidConfiguration', `${folder}/tokenizer_config.json names no eos_token`);
  }
  const source = chatTemplate ?? templateSource(folder, config);
  const template = source === undefined ? undefined : parseTemplate(source);
  const special = { bos_token: specialToken(config, 'bos_token') ?? '', eos_token: eosToken };
  return {
    eosToken,
    encode: (text) => tokenizer.encode(text).ids,
    decode: (ids) => tokenizer.decode([...ids]),
    encodeChat: (messages, addGenerationPrompt) => {
      if (template === undefined) {
        const message = 'the data is conversational and the model has no chat template: set spec.model.chatTemplate';
        throw new TrainerError('InvalidConfiguration', message);
      }
      const text = template.render({ messages, add_generation_prompt: addGenerationPrompt, ...special });
      return tokenizer.encode(text, { add_special_tokens: false }).ids;
    },
  };
}
