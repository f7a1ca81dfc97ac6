import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../config.ts';
import { nameOfBase } from '../export/adapter.ts';
import { adapterFiles } from '../model/weights.ts';
import type { Reporter } from './context.ts';

/** What names of a base can be compared by: a source's scheme, or the Hub's org/name; undefined for a path of some machine. */
const kindOf = (name: string): string | undefined =>
  /^[a-z0-9]+:[/]{2}/.exec(name)?.[0] ?? (/^[\w.-]*\w[\w.-]*[/][\w.-]+$/.test(name) ? 'hub' : undefined);

const plain = (name: string): string => name.replace(/[/]+$/, '').toLowerCase();

/**
 * Whether an adapter's `base_model_name_or_path` names another model than model.source, by the name that an export gives it.
 * Names of different kinds tell nothing: a model on a claim may have come from the Hub.
 */
export function namesOtherBase(named: unknown, source: string): boolean {
  if (typeof named !== 'string') return false;
  const [its, own] = [nameOfBase(named), nameOfBase(source)];
  return kindOf(its) !== undefined && kindOf(its) === kindOf(own) && plain(its) !== plain(own);
}

/** Warns of an adapter that was made on another model; its folder has been read and found good. */
export function warnOfOtherBase({ paths, job }: Run, report: Pick<Reporter, 'warn'>): void {
  const { source, adapter } = job.spec.model;
  if (paths.adapter === undefined || adapter === undefined) return;
  const text = readFileSync(join(paths.adapter, adapterFiles.config), 'utf8');
  const named = (JSON.parse(text) as Record<string, unknown>)['base_model_name_or_path'];
  if (!namesOtherBase(named, source)) return;
  const message = `the adapter in spec.model.adapter was made on ${nameOfBase(String(named))} and spec.model.source is ${nameOfBase(source)}: on another model it means nothing`;
  report.warn('AdapterBaseDiffers', message);
}
