import { deviationOf, shareOf, worstOf, type Parts } from './compared.ts';
import type { Section } from './sections.ts';

/** Two digits: machines differ in the rest. */
const deviation = (value: number): string => (value === 0 ? '0' : value.toExponential(1));
const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;

/** Deviation of the number nearest to its tolerance, and what share of the tolerance that is. */
function cell(parts: Parts, column: string): string {
  const numbers = parts[column];
  if (numbers === undefined) return '–';
  const worst = worstOf(numbers);
  return `${deviation(deviationOf(worst))} (${percent(shareOf(worst))})`;
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** The table of a section, from what was compared of each case. */
export function sectionText({ title, text, note }: Section, results: ReadonlyMap<string, Parts>): string {
  const columns = [...new Set([...results.values()].flatMap(Object.keys))];
  const head = ['case', ...columns, ...(note === undefined ? [] : [note.title])];
  const lines = [...results].map(([name, parts]) => [
    `\`${name}\``,
    ...columns.map((column) => cell(parts, column)),
    ...(note === undefined ? [] : [note.of(name)]),
  ]);
  return [`## ${title}`, '', text, '', row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');
}

/** Cases and the largest share of a tolerance in a section's table: what a test reads of the committed file. */
export function readSection(document: string, title: string): { cases: string[]; worst: number } {
  const section = document.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('| `'));
  const shares = [...section.matchAll(/\((\S+) %\)/g)].map(([, share]) => Number(share) / 100);
  return {
    cases: lines.map((line) => /^\| `(.*?)`/.exec(line)?.[1] ?? ''),
    worst: shares.length === 0 ? Infinity : Math.max(...shares),
  };
}
