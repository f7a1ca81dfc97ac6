import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { preferenceOf } from '../../../trainer-image/data/messages.ts';
import { tokenise, tokenisePreference, truncate } from '../../../trainer-image/data/tokenise.ts';
import { loadTokenizer } from '../../../trainer-image/data/tokenizer.ts';
import { requireWithin } from '../../parity/compared.ts';
import { tokenisation, tokenised } from '../../parity/tokenisation.ts';
import { goldenFolder } from '../golden.ts';

const tokenizer = loadTokenizer(`${goldenFolder}/tokenizer`);
const columns = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };

describe("tokenisation and truncation equal TRL's", () => {
  test.each(Object.entries(tokenisation.cases))('%s', (_, known) => requireWithin(tokenised(known)));
});

describe('tokenisation', () => {
  test('writes the terminator once, and the template’s special tokens once', () => {
    const { completions } = tokenise({ prompt: 'Hi', completions: [' there', ' there<|im_end|>'] }, tokenizer);
    expect(completions[0]).toEqual(completions[1]);
    const chat = tokenise(
      { prompt: [{ role: 'user', content: 'Hi' }], completions: [[{ role: 'assistant', content: 'Yes' }]] },
      tokenizer,
    );
    expect(tokenizer.decode(chat.prompt)).toContain('Hi');
    expect(chat.prompt.filter((id) => id === 1)).toHaveLength(2);
    expect(chat.completions[0]?.filter((id) => id === 2)).toHaveLength(1);
  });

  test('takes an answer that ended at once for no text', () => {
    expect(tokenizer.decode([])).toBe('');
  });

  test.each([
    ['PromptTooLong', [1, 2, 3], [[4]], 3],
    ['EmptyPrompt', [], [[4]], 3],
    ['EmptyCompletion', [1], [[]], 3],
  ])('drops a row for %s', (reason, prompt, completions, maxLength) => {
    expect(truncate({ prompt, completions }, maxLength)).toBe(reason);
  });
});

describe('template arguments', () => {
  const template = `{% if tools is not none %}<tools>{{ tools | length }}{{ tools[0].name }}</tools>{% endif %}{% if style %}<{{ style }}>{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.tool_calls %}call{% endif %};{% endfor %}`;
  const chat = loadTokenizer(`${goldenFolder}/tokenizer`, template);
  const messages = (content: string) => [{ role: 'user', content }];
  const row = { prompt: messages('p'), chosen: messages('a'), rejected: messages('b') };
  const prompt = (more: object): string =>
    chat.decode(tokenisePreference(preferenceOf('f', { row: 1, columns: { ...row, ...more } }, columns), chat).prompt);

  test.each([
    ['no tools, which is None in the template', {}, 'user:p;'],
    ['null, as Parquet has it', { tools: null, chat_template_kwargs: null }, 'user:p;'],
    ['a list of tools', { tools: [{ name: 'f' }] }, '<tools>1f</tools>user:p;'],
    ['tools as JSON text, as in TRL', { tools: '[{"name":"f"}]' }, '<tools>1f</tools>user:p;'],
    ["a row's own arguments", { chat_template_kwargs: { style: 'curt' } }, '<curt>user:p;'],
  ])('with %s', (_, more, text) => {
    expect(prompt(more)).toBe(text);
  });

  test('a message may call tools and say nothing', () => {
    const calling = { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f' } }] };
    const { completions } = tokenisePreference(
      preferenceOf('f', { row: 1, columns: { ...row, chosen: [calling] } }, columns),
      chat,
    );
    expect(chat.decode(completions[0] ?? [])).toContain('call');
  });

  test.each([
    [{ tools: '[{' }, /line 1: the column "tools" is a text that is not JSON/],
    [{ tools: { name: 'f' } }, /line 1: the column "tools" is not a list/],
    [{ chat_template_kwargs: [1] }, /line 1: the column "chat_template_kwargs" is not an object/],
  ])('%j is refused with the line', (more, message) => {
    expect(() => prompt(more)).toThrow(message);
  });
});

describe('a tokenizer that adds BOS and EOS itself', () => {
  // As Llama's and Gemma's: the golden tokenizer with a post-processor.
  const folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
  cpSync(`${goldenFolder}/tokenizer`, folder, { recursive: true });
  const json = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as Record<string, unknown>;
  const special = (token: string, id: number) => ({ [token]: { id: token, ids: [id], tokens: [token] } });
  const piece = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  json['post_processor'] = {
    type: 'TemplateProcessing',
    single: [piece('<|endoftext|>'), { Sequence: { id: 'A', type_id: 0 } }, piece('<|im_end|>')],
    pair: [],
    special_tokens: { ...special('<|endoftext|>', 0), ...special('<|im_end|>', 2) },
  };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json));
  const adding = loadTokenizer(folder);

  test.each(['Hi', '<|endoftext|>Hi'])('leaves one BOS and one terminator for the prompt %s', (prompt) => {
    const { prompt: ids, completions } = tokenise({ prompt, completions: [' a', ' a<|im_end|>'] }, adding);
    expect(ids).toEqual([0, ...tokenizer.encode('Hi')]);
    expect(completions).toEqual([
      [...tokenizer.encode(' a'), 2],
      [...tokenizer.encode(' a'), 2],
    ]);
  });
});
