import type { z } from 'zod';
import { fieldAt, pathsTo, shownPath, type Field, type Path } from './fields.ts';

/** What is wrong with a manifest, in words: the field, what stands there and what is allowed. */

type Issue = z.core.$ZodIssue;
/** What a message is made of: the value that was written, and the field as the schema has it. */
interface Found {
  value: unknown;
  field: Field | undefined;
}

const kinds: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a group of fields',
  record: 'a group of fields',
};

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a group of fields';
  const text = JSON.stringify(value);
  const short = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  return typeof value === 'string' ? `the text ${short}` : short;
}

/** "above 0 and at most 1000", of a number, the letters of a text or the entries of a list; empty without bounds. */
function bounds({ field }: Found): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = field ?? {};
  const low = minimum === undefined ? [] : [`${exclusiveMinimum === true ? 'above' : 'at least'} ${minimum}`];
  const high = maximum === undefined ? [] : [`${exclusiveMaximum === true ? 'below' : 'at most'} ${maximum}`];
  return [...low, ...high].join(' and ');
}

/** The bound that was passed, for what has a length: its own field tells both ends of a number. */
function limit(origin: string, bound: string, found: Found): string {
  const length = (found.value as { length?: number } | undefined)?.length;
  const has: Record<string, string> = {
    string: length === 0 ? 'must not be empty' : `must have ${bound} letters and has ${length}`,
    array: `must have ${bound} entries and has ${length}`,
  };
  return has[origin] ?? `must be ${bounds(found) || bound} and is ${kindOf(found.value)}`;
}

/** What people call a value that has another name here: DPO's own loss is TRL's `sigmoid`. */
const aliases: Record<string, string> = { dpo: 'sigmoid' };

function choice(values: readonly unknown[], { value }: Found): string {
  const names = values.map(String);
  const alias = names.find((name) => name === aliases[String(value)]);
  const near = typeof value === 'string' ? (alias ?? nearest(value, names)) : undefined;
  const hint = near === undefined ? '' : `: did you mean ${near}?`;
  return `must be ${values.length > 1 ? 'one of ' : ''}${values.map(String).join(', ')} and is ${kindOf(value)}${hint}`;
}

/** One line per kind of mistake that zod tells; every kind is here, those that the schema cannot give too. */
const words: { [C in Issue['code']]: (issue: Extract<Issue, { code: C }>, found: Found) => string } = {
  invalid_type: ({ expected }, { value, field }) => {
    const written =
      field?.properties?.['type']?.enum?.includes(value) === true ? `: write { type: ${String(value)} }` : '';
    return `must be ${kinds[expected] ?? expected} and is ${kindOf(value)}${written}`;
  },
  too_small: ({ origin, minimum, inclusive }, found) =>
    limit(origin, `${inclusive === false ? 'more than' : 'at least'} ${minimum}`, found),
  too_big: ({ origin, maximum, inclusive }, found) =>
    limit(origin, `${inclusive === false ? 'less than' : 'at most'} ${maximum}`, found),
  invalid_value: ({ values }, found) => choice(values, found),
  invalid_union: (_, { value }) => `must be a whole number or a text and is ${kindOf(value)}`,
  invalid_format: (_, { value }) => `does not have the form that it must have: it is ${kindOf(value)}`,
  not_multiple_of: ({ divisor }, { value }) => `must be a multiple of ${divisor} and is ${kindOf(value)}`,
  unrecognized_keys: ({ keys }) => `has fields that are unknown: ${keys.join(', ')}`,
  invalid_key: (_, { value }) => `has a name that is not allowed: it is ${kindOf(value)}`,
  invalid_element: (_, { value }) => `has an entry that is not allowed: it is ${kindOf(value)}`,
  custom: ({ message }) => message,
};

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );

/** Mistakes that a schema found in what was written, as sentences. `root`: the schema's fields; `at`: where it stands. */
export function problemsOf(error: z.ZodError, written: unknown, root: Field, at: Path): string[] {
  return error.issues.map((issue) => {
    const found = { value: valueAt(written, issue.path), field: fieldAt(root, issue.path) };
    const text = (words[issue.code] as (issue: Issue, found: Found) => string)(issue, found);
    const place = shownPath([...at, ...issue.path]);
    if (issue.code === 'custom') return `${place}: ${text}`;
    const meaning = found.field?.description;
    return `${place} ${text}${meaning === undefined ? '' : ` (${meaning})`}`;
  });
}

/** A name without what people write otherwise: learning_rate and learningrate are learningRate. */
const bare = (name: string): string => name.replaceAll(/[-_.]/g, '').toLowerCase();

/** Letters to change, insert, leave out or exchange with their neighbour: Damerau's distance, restricted. */
function distance(a: string, b: string): number {
  const rows = [...Array.from({ length: a.length + 1 }).keys()].map((i) => [i]);
  for (let j = 0; j <= b.length; j++) (rows[0] as number[])[j] = j;
  const of = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const change = of(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? of(i - 2, j - 2) + 1 : Infinity;
      (rows[i] as number[])[j] = Math.min(change, of(i - 1, j) + 1, of(i, j - 1) + 1, swap);
    }
  return of(a.length, b.length);
}

/** The name that was probably meant, or undefined when none is near. */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, far: distance(bare(written), bare(name)) }));
  const best = ranked.reduce((one, other) => (other.far < one.far ? other : one), { name: '', far: Infinity });
  return best.far <= Math.max(1, Math.floor(written.length / 4)) ? best.name : undefined;
}

function unknown(root: Field, path: Path, siblings: readonly string[]): string {
  const name = String(path.at(-1));
  const near = nearest(name, siblings);
  const elsewhere = pathsTo(root, (other) => bare(other) === bare(name));
  const meant = near === undefined ? elsewhere.map(shownPath) : [near];
  const hint = meant.length === 0 ? 'docs/api.md has all fields' : `did you mean ${meant.join(' or ')}?`;
  return `${shownPath(path)} is unknown: ${hint}`;
}

/** Fields that the schema does not know, as sentences with the name that was probably meant. */
export function unknownFields(written: unknown, root: Field): string[] {
  const walk = (value: unknown, field: Field, path: Path): string[] => {
    if (Array.isArray(value)) return value.flatMap((each, i) => walk(each, field.items ?? {}, [...path, i]));
    const { properties } = field;
    if (typeof value !== 'object' || value === null || properties === undefined) return [];
    return Object.entries(value).flatMap(([name, inner]) => {
      const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
      const at = [...path, name];
      return known === undefined ? [unknown(root, at, Object.keys(properties))] : walk(inner, known, at);
    });
  };
  return walk(written, root, []);
}
