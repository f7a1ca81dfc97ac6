import type { z } from 'zod';

/** What may be true of an object. */
export interface Condition<T> {
  /** CEL over `self`, the object with its defaults. */
  cel: string;
  /** The same: whether it is true. */
  holds: (self: T) => boolean;
}

/**
 * A rule between the fields of one object, said twice: as CEL, which the API server enforces when a DPOJob is applied, and
 * as a function, by which the trainer checks it again. A test holds the two together with an example that is refused.
 */
export interface Rule<T> extends Condition<T> {
  /** The field that is to blame, as a path in the object; empty where the rule is of a single value. */
  field: string;
  /** Names the field, says why it is refused and what to do. */
  message: string;
}

/** The schema with its rules, for both sides. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  const checked = rules.reduce(
    (refined, { holds, field, message }) =>
      refined.refine(holds, { path: field === '' ? [] : field.split('.'), message }),
    schema,
  );
  return checked.meta({ 'x-kubernetes-validations': rules.map(({ cel, message }) => ({ rule: cel, message })) });
}

export const not = <T>({ cel, holds }: Condition<T>): Condition<T> => ({
  cel: `!(${cel})`,
  holds: (self) => !holds(self),
});

/** Where `first` is true, `second` must be. */
export const implies = <T>(first: Condition<T>, second: Condition<T>): Condition<T> => ({
  cel: `!(${first.cel}) || (${second.cel})`,
  holds: (self) => !first.holds(self) || second.holds(self),
});

/** CEL's literals: a number is a double, `1` alone would be an integer. */
function literal(value: number | string | boolean): string {
  if (typeof value === 'number') return Number.isInteger(value) ? value.toFixed(1) : String(value);
  return typeof value === 'string' ? `'${value}'` : String(value);
}

/** The field has this value. */
export const equals = <T>(field: keyof T & string, value: number | string | boolean): Condition<T> => ({
  cel: `self.${field} == ${literal(value)}`,
  holds: (self) => self[field] === value,
});

/** The optional field is set. */
export const given = <T>(field: keyof T & string): Condition<T> => ({
  cel: `has(self.${field})`,
  holds: (self) => self[field] !== undefined,
});

/** Name of an object of Kubernetes (RFC 1123 subdomain), such as a Secret's. */
export const objectName = (what: string): Rule<string> =>
  matching(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, `must be ${what}'s name`);

/** A pattern as a rule, so that the API server too says in words what is asked for. No `"` stands in a pattern. */
export const matching = (pattern: RegExp, message: string): Rule<string> => ({
  cel: `self.matches(r"${pattern.source.replaceAll(String.raw`\/`, '/')}")`,
  holds: (text) => pattern.test(text),
  field: '',
  message,
});
