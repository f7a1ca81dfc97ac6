import { z } from 'zod';
import { structural } from './generate.ts';

/** A node of the API's schema (OpenAPI 3.0), as far as people are told of it: in docs/api.md and in messages. */
export interface Field {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  required?: string[];
  properties?: Record<string, Field>;
  items?: Field;
  additionalProperties?: Field;
  'x-kubernetes-validations'?: { rule: string; message?: string }[];
}

/** The fields of a schema. */
export const fieldsOf = (schema: z.ZodType): Field => structural(schema) as Field;

/** Keys and indexes from the top. */
export type Path = readonly PropertyKey[];

/** `spec.training.loss[0].type`. */
export const shownPath = (path: Path): string =>
  path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i === 0 ? '' : '.'}${String(key)}`)).join('');

/** The field at a path, or undefined where the schema knows none. */
export function fieldAt(root: Field, path: Path): Field | undefined {
  return path.reduce<Field | undefined>(
    (field, key) =>
      typeof key === 'number' ? field?.items : (field?.properties?.[String(key)] ?? field?.additionalProperties),
    root,
  );
}

/** Every path of a field with that name, without entries of lists. */
export function pathsTo(root: Field, wanted: (name: string) => boolean, at: Path = []): Path[] {
  return Object.entries(root.properties ?? {}).flatMap(([name, field]) => [
    ...(wanted(name) ? [[...at, name]] : []),
    ...pathsTo(field, wanted, [...at, name]),
  ]);
}
