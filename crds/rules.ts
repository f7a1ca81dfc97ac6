import type { z } from 'zod';

/**
 * A rule between the fields of one object, said twice: as CEL, which the API server enforces when a DPOJob is applied, and
 * as a function, by which the trainer checks it again. A test holds the two together with an example that is refused.
 */
export interface Rule<T> {
  /** CEL over `self`, the object with its defaults. */
  cel: string;
  /** The same: whether the object keeps the rule. */
  holds: (self: T) => boolean;
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
