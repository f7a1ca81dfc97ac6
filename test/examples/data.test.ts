import { describe, expect, test } from '@jest/globals';
import { committed, makeFiles, textOf } from '../../examples/data/generate.ts';
import { heldOutTopics, trainTopics } from '../../examples/data/phrases.ts';

interface Message {
  role: string;
  content: string;
}
interface Pair {
  prompt: Message[];
  chosen: Message[];
  rejected: Message[];
}
const files = makeFiles();
const pairs = files['pairs.jsonl.gz'] as Pair[];
const heldOut = files['heldout.jsonl.gz'] as Pair[];
const tuning = files['sft.jsonl.gz'] as { messages: Message[] }[];
const length = (messages: Message[]): number => messages.reduce((sum, { content }) => sum + content.length, 0);
const promptOf = ({ prompt }: Pair): string => JSON.stringify(prompt);

describe("the example's data", () => {
  test.each(Object.keys(files))('%s is what the generator makes', (name) => {
    expect(committed(name)).toBe(textOf(files[name] as object[]));
  });

  test('has held-out topics that occur nowhere else', () => {
    const seen = textOf([...pairs, ...tuning]);
    expect(heldOutTopics.filter((topic) => trainTopics.includes(topic) || seen.includes(topic))).toEqual([]);
    expect(heldOut.filter((pair) => pairs.some((other) => promptOf(other) === promptOf(pair)))).toEqual([]);
  });

  test.each([
    ['longer', (a: number, b: number) => a > b],
    ['shorter', (a: number, b: number) => a < b],
  ])('is not to be told by choosing the %s answer', (_, wins) => {
    for (const set of [pairs, heldOut]) {
      const right = set.filter(({ chosen, rejected }) => wins(length(chosen), length(rejected))).length;
      expect(right / set.length).toBeLessThanOrEqual(0.6);
    }
  });

  test('varies in topic, form, length and script', () => {
    const multiTurn = pairs.filter(({ prompt }) => prompt.length > 1).length / pairs.length;
    expect(multiTurn).toBeGreaterThan(0.15);
    expect(multiTurn).toBeLessThan(0.4);
    expect(pairs.filter((pair) => /[^\p{ASCII}]/u.test(promptOf(pair))).length).toBeGreaterThan(200);
    const lengths = pairs.map(({ chosen }) => length(chosen));
    expect(Math.max(...lengths) / Math.min(...lengths)).toBeGreaterThan(4);
    expect(new Set(pairs.map((pair) => JSON.stringify(pair.chosen))).size).toBeGreaterThan(0.6 * pairs.length);
  });
});
