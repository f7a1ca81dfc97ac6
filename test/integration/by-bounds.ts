import * as fc from 'fast-check';
import { z } from 'zod';

interface Schema {
  type?: string;
  enum?: unknown[];
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | false;
  propertyNames?: Schema;
}

/** More entries than any map of status may have. */
const mostKeys = 80;
/** Written by no one, and taken for a time by someone. */
const times = ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.123456789Z', '2026-01-01T00:00Z', '0000-02-29T23:59:59.9Z'];

function text({ format, pattern, maxLength = 64 }: Schema): fc.Arbitrary<string> {
  if (format === 'date-time') return fc.constantFrom(...times);
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern)).map((one) => one.slice(0, maxLength));
  const any = fc.string({ unit: 'binary', maxLength });
  // What YAML, XML or terminals forbid, and what counts as two where characters are counted otherwise.
  const special = fc.constantFrom(
    '\u007F',
    '\u0085',
    '\uFEFF',
    '\uFFFF',
    '\uD800',
    '\u2028',
    '\u0000',
    '😀',
    '"\\',
    ': ',
  );
  const full = special.map((one) => one.repeat(Math.floor(maxLength / one.length)));
  return fc.oneof(any, special, full);
}

function number({ type, minimum, maximum }: Schema): fc.Arbitrary<number> {
  const [low, high] = [minimum ?? -Number.MAX_VALUE, maximum ?? Number.MAX_VALUE];
  if (type === 'integer') return fc.oneof(fc.constantFrom(low, high), fc.integer({ min: low, max: high }));
  const any = fc.double({ min: low, max: high, noNaN: true, noDefaultInfinity: true });
  return fc.oneof(
    fc.constantFrom(low, high),
    any,
    fc.constantFrom(0.1, 1e19, 1e21).map((one) => Math.min(one, high)),
  );
}

function object({ properties, required = [], additionalProperties, propertyNames = {} }: Schema): fc.Arbitrary<object> {
  if (properties === undefined) {
    const value = arbitrary(additionalProperties || {});
    return fc.dictionary(arbitrary({ type: 'string', ...propertyNames }) as fc.Arbitrary<string>, value, {
      maxKeys: mostKeys,
      size: 'max',
    });
  }
  const fields = Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, arbitrary(field)]));
  return fc.record(fields, { requiredKeys: required });
}

function arbitrary(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.type === 'boolean') return fc.boolean();
  if (schema.type === 'string') return text(schema);
  if (schema.type === 'array') return fc.array(arbitrary(schema.items ?? {}), { maxLength: schema.maxItems ?? 32 });
  return schema.type === 'object' ? object(schema) : number(schema);
}

/** Values for a zod schema, from its JSON Schema: random ones and those at its bounds. Not every one of them passes. */
export const byBounds = (schema: z.ZodType): fc.Arbitrary<unknown> =>
  arbitrary(z.toJSONSchema(schema, { io: 'input' }) as Schema);
