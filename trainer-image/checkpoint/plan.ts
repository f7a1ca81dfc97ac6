import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { shownSource } from '../../crds/sources.ts';
import type { Fence } from './fence.ts';
import { readSealed, writeSealed } from './store.ts';

/** What a run's checkpoints belong to, in parts, so that a run that differs can be told in what. */
export interface Plan {
  /** Of the specification, what the run depends on. */
  settings: Record<string, unknown>;
  /** Digests of the model with its adapter and, where it has one of its own, of the reference. */
  models: readonly string[];
  /** sha256 of every token of the data. */
  tokens: string;
}

export const planDigest = ({ settings, models, tokens }: Plan): string =>
  createHash('sha256')
    .update(JSON.stringify([settings, models, tokens]))
    .digest('hex');

const planSchema = z.object({
  settings: z.record(z.string(), z.unknown()),
  models: z.array(z.string()),
  tokens: z.string(),
});

const fileOf = (folder: string): string => join(folder, 'plan.json');

/** The plan of the checkpoints in a folder; undefined where none is kept, or a damaged one. */
export const keptPlan = (folder: string): Plan | undefined => planSchema.safeParse(readSealed(fileOf(folder))).data;

/** Keeps a plan beside its checkpoints, without signatures of addresses. Throws Fenced and DiskFull. */
export function keepPlan(folder: string, { settings, ...plan }: Plan, fence: Fence): void {
  const shown = JSON.stringify(settings, (_, value: unknown) =>
    typeof value === 'string' ? shownSource(value) : value,
  );
  writeSealed(fileOf(folder), { ...plan, settings: JSON.parse(shown) as unknown }, fence);
}

/** Each value of a specification that is no group, by its path: training.beta, training.loss[0].type. */
function valuesOf(value: unknown, path: string): [string, string][] {
  if (typeof value === 'string') return [[path, shownSource(value)]];
  if (typeof value !== 'object' || value === null) return [[path, JSON.stringify(value)]];
  const at = (key: string): string => (Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`);
  return Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : valuesOf(inner, at(key))));
}

const settingsOf = ({ settings }: Plan): Map<string, string> =>
  new Map(Object.entries(settings).flatMap(([key, value]) => (value === undefined ? [] : valuesOf(value, key))));

/** More differences than people read at once. */
const shownDifferences = 5;

/** In what a plan differs from the one that was kept: "training.beta was 0.1 and is 0.5"; empty where nothing is known. */
export function differences(kept: Plan, now: Plan): string[] {
  const [before, after] = [settingsOf(kept), settingsOf(now)];
  const paths = [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path) !== after.get(path),
  );
  const told = paths.map(
    (path) => `${path} was ${before.get(path) ?? 'not set'} and is ${after.get(path) ?? 'not set'}`,
  );
  const more = told.length - shownDifferences;
  const settings = more > 0 ? [...told.slice(0, shownDifferences), `${more} more settings`] : told;
  // Another field explains other weights, or other tokens, already.
  const changed = (pattern: RegExp): boolean => paths.some((path) => pattern.test(path));
  const models = kept.models.join() !== now.models.join() && !changed(/^(model|reference)[.]/);
  const tokens = kept.tokens !== now.tokens && !changed(/^(model|dataset|sft)\b|axLength$/);
  return [
    ...settings,
    ...(models ? ["a model's weights or settings have been replaced at the same place"] : []),
    ...(tokens ? ["the data's rows, or the tokenizer, have been replaced at the same place"] : []),
  ];
}

/** How to begin anew where a job has been run in another way, in words. */
export const beginAnew = (folder: string): string =>
  `set another metadata.name and another output.source, or remove the folder ${folder} to begin anew under this name`;

/** That the checkpoints of `folder` are of another plan: in what, as far as it is known, and what to do. */
export function mismatch(folder: string, now: Plan): string {
  const kept = keptPlan(folder);
  const told = kept === undefined ? [] : differences(kept, now);
  const what = told.length === 0 ? 'another model, data set or training plan' : `another plan (${told.join('; ')})`;
  return `the checkpoints in ${folder} were made with ${what}: ${beginAnew(folder)}`;
}
