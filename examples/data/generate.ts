import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { evasive, followUps, heldOutTopics, helpful, openings, questions, trainTopics } from './phrases.ts';
import { Random } from './random.ts';

/**
 * Makes the example's data: `sh scripts/node examples/data/generate.ts` (a test makes it anew and compares).
 *
 * The preference is about content: the chosen answer says what to do, the rejected one talks beside the question. Lengths
 * are drawn alike for both, both begin alike, and fine-tuning sees both kinds equally often, so that neither length nor
 * tone nor the fine-tuned model tells them apart. The held-out topics occur nowhere else.
 */
interface Message {
  role: 'user' | 'assistant';
  content: string;
}
type Kind = 'helpful' | 'evasive';

const pools: Record<Kind, readonly string[]> = { helpful, evasive };
const fill = (text: string, topic: string): string => text.replaceAll('{t}', topic);

function answer(random: Random, topic: string, kind: Kind, sentences: number): string {
  const opening = random.chance(0.5) ? [random.pick(openings)] : [];
  return fill([...opening, ...random.sample(pools[kind], sentences)].join(' '), topic);
}

/** Hard: the answer begins like one of the other kind and only then shows what it is. */
function hardAnswer(random: Random, topic: string, kind: Kind, sentences: number): string {
  const other = kind === 'helpful' ? 'evasive' : 'helpful';
  return fill([random.pick(pools[other]), ...random.sample(pools[kind], sentences)].join(' '), topic);
}

function conversation(random: Random, topic: string): Message[] {
  const first: Message = { role: 'user', content: fill(random.pick(questions), topic) };
  if (!random.chance(0.25)) return [first];
  const kind: Kind = random.chance(0.5) ? 'helpful' : 'evasive';
  const reply: Message = { role: 'assistant', content: answer(random, topic, kind, 1) };
  return [first, reply, { role: 'user', content: random.pick(followUps) }];
}

const said = (content: string): Message[] => [{ role: 'assistant', content }];
const sentencesOf = (random: Random): number => 1 + Math.floor(random.next() * 3);

/**
 * Preference pairs in TRL's conversational form. Two pairs in a row swap their numbers of sentences, so that each side is
 * the longer one as often as the other by design and not by luck: a summed log-probability favours the shorter answer.
 */
export function makePairs(seed: number, count: number, topics: readonly string[]): object[] {
  const random = new Random(seed);
  let sentences = { helpful: 0, evasive: 0 };
  return Array.from({ length: count }, (_, i) => {
    const topic = random.pick(topics);
    const write = random.chance(0.15) ? hardAnswer : answer;
    const prompt = conversation(random, topic);
    sentences =
      i % 2 === 0
        ? { helpful: sentencesOf(random), evasive: sentencesOf(random) }
        : { helpful: sentences.evasive, evasive: sentences.helpful };
    const chosen = said(write(random, topic, 'helpful', sentences.helpful));
    const rejected = said(write(random, topic, 'evasive', sentences.evasive));
    return { prompt, chosen, rejected };
  });
}

/** Fine-tuning rows: answers of both kinds, equally often. */
export function makeExamples(seed: number, count: number): object[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, i) => {
    const topic = random.pick(trainTopics);
    const kind: Kind = i % 2 === 0 ? 'helpful' : 'evasive';
    const write = random.chance(0.15) ? hardAnswer : answer;
    return { messages: [...conversation(random, topic), ...said(write(random, topic, kind, sentencesOf(random)))] };
  });
}

/** The files, by name. */
export function makeFiles(): Record<string, object[]> {
  return {
    'pairs.jsonl.gz': makePairs(1, 2400, trainTopics),
    'heldout.jsonl.gz': makePairs(2, 160, heldOutTopics),
    'sft.jsonl.gz': makeExamples(3, 1600),
  };
}

export const textOf = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** The committed text of a file. */
export const committed = (name: string): string =>
  gunzipSync(readFileSync(join(import.meta.dirname, name))).toString('utf8');

if (process.argv[1] === import.meta.filename) {
  for (const [name, rows] of Object.entries(makeFiles())) {
    writeFileSync(join(import.meta.dirname, name), gzipSync(textOf(rows), { level: 9 }));
    console.log(`${name}: ${rows.length} rows`);
  }
}
