import * as fc from 'fast-check';
import { specSchema, type DPOJobSpecInput } from '../../crds/dpojob.ts';
import { fieldsOf, type Field } from '../../crds/fields.ts';
import { fine } from '../security/specs.ts';

/** Random specifications: one that is fine, with a few fields replaced by values at, near and beyond their bounds. */
type Path = readonly string[];
interface Leaf {
  path: Path;
  field: Field;
}

/**
 * `pod` and `resources` are Kubernetes' own, taken whole: what it finds wrong in them it says when the Job is made, and the
 * DPOJob's condition passes that on.
 */
const isOurs = ([group]: Path): boolean => group !== 'pod' && group !== 'resources';

/** Every field that holds a value, a list or a map. */
function leaves(field: Field, path: Path = []): Leaf[] {
  if (field.properties === undefined) return [{ path, field }];
  return Object.entries(field.properties).flatMap(([name, each]) => leaves(each, [...path, name]));
}

const all = leaves(fieldsOf(specSchema)).filter(({ path }) => isOurs(path));

/** Texts for fields whose pattern is a rule: some that fit and some that nearly do. */
const sources = [
  'pvc://models/a',
  'pvc://data/b.jsonl.gz',
  'hf://org/name',
  'hf://org/name@v1',
  'hf://datasets/org/name',
  'hf://datasets/org/name@refs/pr/1',
  's3://bucket/key',
  'https://example.com/a?b=c',
  'pvc://models/../a',
  'file:///a',
  '',
];
const names = ['a', 'a.b-c', 'a'.repeat(253), 'A', '-a', 'a/b', 'a..b', ''];
const texts: Record<string, readonly string[]> = {
  source: sources,
  evalSource: sources,
  adapter: sources,
  name: names,
  storageClassName: names,
  key: ['data.jsonl', '.data', 'a..b', '..', '../a', ''],
  digest: [`sha256:${'0'.repeat(64)}`, 'sha256:0', ''],
  size: ['1Gi', '0.5T', '0', '1e3', '-1Gi', ''],
  resource: ['nvidia.com/gpu', 'amd.com/gpu', 'gpu', 'a/', 'a b/c', 'a/b/c', ''],
  managedBy: ['kueue.x-k8s.io/multikueue', 'kueue', ''],
};

function text(path: Path, { maxLength = 64 }: Field): fc.Arbitrary<string> {
  const own = texts[path.at(-1) ?? ''];
  if (own !== undefined) return fc.constantFrom(...own);
  // Characters that both sides count as one: outside the Basic Multilingual Plane JavaScript counts two.
  const special = fc.constantFrom('x', '\u0000', '\u001B', '"', '\\', '\u2028', 'é').map((one) => one.repeat(3));
  const long = fc.constantFrom(maxLength, maxLength + 1).map((length) => 'x'.repeat(length));
  return fc.oneof(fc.string({ maxLength: 20 }), special, long, fc.constant(''));
}

/** A number at its bounds, just beyond them, and of the wrong kind. */
function number({ type, minimum, maximum }: Field): fc.Arbitrary<number> {
  const step = type === 'integer' ? 1 : 1e-3;
  const near = [minimum, maximum].flatMap((bound) => (bound === undefined ? [] : [bound - step, bound, bound + step]));
  const common = [0, 1, 2, 0.5, 1e-6, -1, 1e6, 1e300];
  return fc.constantFrom(...near, ...common);
}

function list(path: Path, { items = {}, maxItems = 8 }: Field): fc.Arbitrary<unknown> {
  const some = fc.array(valueAt(path, items), { maxLength: 3 });
  return fc.oneof(
    some,
    valueAt(path, items).map((one) => Array.from({ length: Math.min(maxItems + 1, 70) }, () => one)),
  );
}

function valueAt(path: Path, field: Field): fc.Arbitrary<unknown> {
  if (field.enum !== undefined) return fc.constantFrom(...field.enum, 'none-of-them');
  if (field.properties !== undefined) {
    const entries = Object.entries(field.properties).map(([name, each]) => [name, valueAt([...path, name], each)]);
    return fc.record(Object.fromEntries(entries) as Record<string, fc.Arbitrary<unknown>>, {
      requiredKeys: field.required ?? [],
    });
  }
  if (field.type === 'boolean') return fc.boolean();
  if (field.type === 'array') return list(path, field);
  if (field.type === 'string') return text(path, field);
  if (field.type === 'integer' || field.type === 'number') return number(field);
  throw new Error(`${path.join('.')}: no values are known for this type`);
}

/** The spec with a value at a path. */
function withValue(spec: object, [name = '', ...rest]: Path, value: unknown): object {
  const below = (spec as Record<string, object | undefined>)[name] ?? {};
  return { ...spec, [name]: rest.length === 0 ? value : withValue(below, rest, value) };
}

/** A value of the wrong kind, now and then. */
const wrong = fc.constantFrom<unknown>('text', 7, true, [], {});
const change = fc
  .constantFrom(...all)
  .chain(({ path, field }) =>
    fc
      .oneof({ weight: 15, arbitrary: valueAt(path, field) }, { weight: 1, arbitrary: wrong })
      .map((value) => ({ path, value })),
  );

export const anySpec: fc.Arbitrary<DPOJobSpecInput> = fc
  .array(change, { minLength: 1, maxLength: 4 })
  .map(
    (changes) =>
      changes.reduce<object>((spec, { path, value }) => withValue(spec, path, value), fine) as DPOJobSpecInput,
  );

/** How many fields of the schema are varied. */
export const varied = all.length;
