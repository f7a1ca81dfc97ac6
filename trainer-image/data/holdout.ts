import { createHash } from 'node:crypto';
import type { Text } from './messages.ts';

/** A prompt without differences that do not matter: Unicode form, letter case, white space. */
export function normalisePrompt(prompt: Text): string {
  const text =
    typeof prompt === 'string' ? prompt : prompt.map(({ role, content }) => `${role}: ${content ?? ''}`).join('\n');
  return text.normalize('NFKC').toLowerCase().replaceAll(/\s+/g, ' ').trim();
}

/**
 * Whether a prompt is held out: by its hash alone, so that equal prompts are always on the same side and the split stays
 * the same when rows are added or moved. `share` is between 0 and 1.
 */
export function isHeldOut(prompt: Text, share: number): boolean {
  const hash = createHash('sha256').update(normalisePrompt(prompt)).digest();
  return hash.readUIntBE(0, 6) / 2 ** 48 < share;
}
