import { normalisePrompt } from '../holdout.ts';
import type { Text } from '../messages.ts';

/** Prompts that n-grams are taken from, and the words of each, counted from its end, where the question stands. */
const sampleSize = 1024;
const sampleWords = 64;

/** Words; scripts without spaces between words count by character. */
const wordPattern =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{Letter}\p{Mark}\p{Number}]+/gu;

/** The word triples of a prompt; a shorter one is a single piece. */
export function triples(text: string): string[] {
  const words = (text.match(wordPattern) ?? []).slice(-sampleWords);
  if (words.length < 3) return [words.join(' ')];
  return words.slice(2).map((word, i) => `${words[i]} ${words[i + 1]} ${word}`);
}

/** Distinct prompts per row, from their keys. */
export function distinctShare(keys: Float64Array): number {
  const sorted = keys.toSorted();
  let distinct = 0;
  for (let i = 0; i < sorted.length; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) distinct += 1;
  return distinct / sorted.length;
}

/**
 * Distinct n-grams over all n-grams ("distinct-n", Li et al. 2016, arXiv:1510.03055) of word triples: near-copies
 * such as one template filled in again and again share most of their triples. The ratio falls with the number of words, so
 * it is taken from a sample of distinct prompts of bounded size: those with the smallest keys (a bottom-k sketch), which
 * are the same in whatever order the rows come.
 */
export class PromptSample {
  private readonly pieces = new Map<number, string[]>();
  private limit = Infinity;

  add(key: number, prompt: Text): void {
    if (key >= this.limit || this.pieces.has(key)) return;
    const question = typeof prompt === 'string' ? prompt : prompt.slice(-1);
    this.pieces.set(key, triples(normalisePrompt(question)));
    if (this.pieces.size === 2 * sampleSize) this.shrink();
  }

  /** Keeps the smallest keys; none beyond them can come back. */
  private shrink(): void {
    const sorted = Float64Array.from(this.pieces.keys()).sort();
    if (sorted.length <= sampleSize) return;
    this.limit = sorted[sampleSize] as number;
    for (const key of sorted.subarray(sampleSize)) this.pieces.delete(key);
  }

  distinctTriples(): number {
    this.shrink();
    const all = [...this.pieces.values()].flat();
    return new Set(all).size / all.length;
  }
}
