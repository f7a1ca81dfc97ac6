import { describe, expect, test } from '@jest/globals';
import type { Message, Text } from '../../../../trainer-image/data/messages.ts';
import { HeldOutPrompts } from '../../../../trainer-image/data/quality/gate.ts';
import { fingerprint, rowKey, swapped } from '../../../../trainer-image/data/quality/fingerprint.ts';
import type { RowCheckName } from '../../../../trainer-image/data/quality/row-checks.ts';
import { aRow, judged } from './rows.ts';

const said = (content: string, rest: object = {}): Message[] => [{ role: 'assistant', content, ...rest }];
const asked = (content: string): Message[] => [{ role: 'user', content }];
const sound: Text[] = ['what is it', 'a stone', 'no idea'];

describe('the gate finds', () => {
  // Rows on lines 1, 2, ...; the lines that the check names, and why the first of them.
  const cases: [string, RowCheckName, Text[][], number[], RegExp][] = [
    ['an empty answer', 'empty', [sound, ['p', ' \n', 'b'], ['p', 'a', '']], [2, 3], /^chosen without text$/],
    ['an empty prompt', 'empty', [['', 'a', 'b'], sound], [1], /^prompt without text$/],
    ['an empty message', 'empty', [[asked('p'), said('a'), said(' ')], sound], [1], /^rejected without text$/],
    [
      'an empty completion',
      'empty',
      [
        ['p', ''],
        ['p', 'a'],
      ],
      [1],
      /^completion without text$/,
    ],
    ['equal answers', 'identical', [sound, ['p', 'same', 'same']], [2], /equal$/],
    [
      'answers that are equal up to maxLength 12',
      'identical',
      [
        ['12345678', 'abcdX', 'abcdY'],
        ['1234567', 'abcdX', 'abcdY'],
      ],
      [1],
      /only after maxLength 12$/,
    ],
    [
      'rows that repeat an earlier one, whatever the case of the prompt',
      'duplicate',
      [sound, ['What  is it', 'a stone ', 'no idea'], ['other', 'a', 'b'], sound],
      [2, 4],
      /^the same as line 1$/,
    ],
    [
      'rows with swapped answers, both sides of them',
      'contradicting',
      [['p', 'a', 'b'], sound, ['P', 'b', 'a'], ['q', 'b', 'a']],
      [1, 3],
      /^answers swapped against line 3$/,
    ],
    [
      'repeated fine-tuning rows',
      'duplicate',
      [
        ['p', 'a'],
        ['p', 'b'],
        ['p', 'a'],
      ],
      [3],
      /^the same as line 1$/,
    ],
    [
      'rows that lose tokens to maxLength 12, the longest loss first',
      'truncated',
      [
        ['12345678', 'abcd', 'abcd'],
        ['12345678', 'abcde', 'a'],
        ['12345678', 'a', 'abcdefg'],
      ],
      [3, 2],
      /^prompt 8 and answer 7 tokens: 3 more than maxLength 12$/,
    ],
    [
      'a prompt that fills maxLength 12',
      'truncated',
      [['123456789012', 'a', 'b']],
      [1],
      /which the prompt fills alone$/,
    ],
  ];
  test.each(cases)('%s', (name, check, rows, ...[lines, why]) => {
    const { found } = judged(rows, name.includes('maxLength 12') ? 12 : 1000);
    expect(found[check].worst.map(({ row }) => row)).toEqual(lines);
    expect(found[check].count).toBe(lines.length);
    expect(found[check].worst[0]?.why).toMatch(why);
  });

  test('prompts of the held-out file, with their line in it, whatever their case and spaces', () => {
    const heldOut = new HeldOutPrompts();
    heldOut.see(aRow(7, 'What is  IT ', 'x', 'y'));
    const { found } = judged([['other', 'a', 'b'], sound], 1000, heldOut);
    expect(found.leaking).toEqual({ count: 1, worst: [{ row: 2, why: 'its prompt is line 7 of dataset.evalSource' }] });
  });

  test.each<[string, Text[][]]>([
    ['sound rows', [sound, ['another', 'yes', 'no'], ['a third', 'yes', 'no']]],
    [
      'the same prompt with other answers',
      [sound, ['what is it', 'a stone', 'a tree'], ['what is it', 'x', 'no idea']],
    ],
    [
      'the same answers under other prompts, swapped',
      [
        ['p', 'a', 'b'],
        ['q', 'b', 'a'],
      ],
    ],
    ['a message that only calls a tool', [[asked('p'), said('', { tool_calls: [{ name: 'f' }] }), said('no')]]],
    [
      'tool calls that differ',
      [
        [asked('p'), said('x', { tool_calls: ['f'] }), said('y')],
        [asked('p'), said('x'), said('y')],
      ],
    ],
    ['rows that fill maxLength to the last token', [['a'.repeat(990), 'b'.repeat(10), 'c']]],
  ])('nothing in %s', (_, rows) => {
    const { found, flawOf } = judged(rows);
    expect(Object.values(found).map(({ count }) => count)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(flawOf(1, ['empty', 'duplicate'])).toBeUndefined();
  });
});

test('a row with several flaws is known by the first check that is asked about', () => {
  const { flawOf } = judged([['p', 'a', 'a'], sound, ['p', 'a', 'a']]);
  expect([flawOf(3, ['identical', 'duplicate']), flawOf(3, ['duplicate']), flawOf(1, ['duplicate'])]).toEqual([
    'identical',
    'duplicate',
    undefined,
  ]);
});

test('every finding is counted, and the report keeps the first twenty of equal weight', () => {
  const { found } = judged(Array.from({ length: 50 }, () => sound));
  expect(found.duplicate.count).toBe(49);
  expect(found.duplicate.worst.map(({ row }) => row)).toEqual(Array.from({ length: 20 }, (_, i) => i + 2));
});

test('lines of empty rows between are no matter: findings name the line of the file', () => {
  const heldOut = new HeldOutPrompts();
  expect(heldOut.lines()(fingerprint('p'))).toBeUndefined();
  const { found, rows } = judged(Array.from({ length: 3000 }, (_, i) => [`p ${i % 2999}`, 'a', 'b']));
  expect([rows, found.duplicate.worst]).toEqual([3000, [{ row: 3000, why: 'the same as line 1' }]]);
});

test('keys tell where one text ends and the next begins, and fit in a double', () => {
  expect(fingerprint('ab', 'c')).not.toBe(fingerprint('a', 'bc'));
  const [key, opposite] = [rowKey('p', ['a', 'b']), rowKey('p', ['b', 'a'])];
  expect([swapped(key), swapped(opposite)]).toEqual([opposite, key]);
  for (let i = 0; i < 1000; i++) expect(Number.isSafeInteger(rowKey(`${i}`, ['a', 'b']))).toBe(true);
});
