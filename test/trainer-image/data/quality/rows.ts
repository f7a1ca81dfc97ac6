import type { Text } from '../../../../trainer-image/data/messages.ts';
import { QualityGate, type HeldOutPrompts, type Verdict } from '../../../../trainer-image/data/quality/gate.ts';
import type { CheckedRow } from '../../../../trainer-image/data/quality/row-checks.ts';

const characters = (text: Text): number[] => {
  const whole = typeof text === 'string' ? text : text.map(({ content }) => content ?? '').join('');
  return Array.from(whole, (one) => one.codePointAt(0) as number);
};

/** A row as the loader shows it; every character is a token. */
export const aRow = (row: number, prompt: Text, ...answers: Text[]): CheckedRow => ({
  row,
  prompt,
  answers,
  tokens: { prompt: characters(prompt), completions: answers.map(characters) },
});

/** What the gate says of some rows, which stand on lines 1, 2, 3 ... */
export function judged(rows: readonly Text[][], maxLength = 1000, heldOut?: HeldOutPrompts): Verdict {
  const gate = new QualityGate(maxLength);
  rows.forEach(([prompt = '', ...answers], i) => gate.see(aRow(i + 1, prompt, ...answers)));
  return gate.conclude(heldOut);
}
