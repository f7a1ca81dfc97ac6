/** Control characters of ASCII and of Latin-1, and the marks that change the direction in which a line is read. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const unprintable = /[\u0000-\u001F\u007F-\u009F\u200E\u200F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g;
const gaps = /\s+/g;
const lineEnd = /[\n\r\u2028\u2029]/;

/**
 * A text of somebody else's on one line, without what a terminal would obey: it could clear the screen, or write lines that
 * look like `kubectl`'s own. Never longer than before, and in one pass: a pod's text must not hold the operator up.
 */
export const printable = (text: string): string =>
  text.replace(gaps, (gap) => (lineEnd.test(gap) ? ' ' : gap)).replace(unprintable, '\uFFFD');

/** The same for every text in a value of JSON; keys stay. */
export function allPrintable<T>(value: T): T {
  if (typeof value === 'string') return printable(value) as T;
  if (Array.isArray(value)) return value.map((one: unknown) => allPrintable(one)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, allPrintable(one as unknown)])) as T;
}
