import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import type { z } from 'zod';
import {
  apiVersion,
  kind,
  maxNameLength,
  namePattern,
  specSchema,
  type DPOJob,
  type DPOJobSpec,
} from '../crds/dpojob.ts';
import {
  cacheFolder,
  checkpointFolder,
  configMapFolders,
  runConfigSchema,
  workClaim,
  workOutput,
  type RunConfig,
} from '../crds/run-config.ts';
import type { ExitReason } from '../crds/exit-codes.ts';
import { fieldsOf, type Path } from '../crds/fields.ts';
import { nearest, problemsOf, unknownFields } from '../crds/problems.ts';
import { claimOf, isClaim, shownSource } from '../crds/sources.ts';
import type { Part } from './data/rows.ts';
import { TrainerError } from './errors.ts';

/** Everything a run works with: the job and where its files are on this machine; empty for what is still to be fetched. */
export interface Run {
  job: RunConfig;
  paths: {
    model: string;
    /** PEFT's folder of the adapter that training begins with. */
    adapter?: string | undefined;
    /** A reference model of its own. */
    reference?: string | undefined;
    /** Of a mixture only a text for messages: `parts` are read. */
    dataset: string;
    parts?: Part[] | undefined;
    evalDataset?: string | undefined;
    sftDataset?: string | undefined;
    output: string;
    checkpoints: string;
    /** Fetched sources, and the reference where the job names a cache: shared by all jobs that have the same. */
    cache: string;
  };
}

const invalid = (message: string, cause?: unknown): TrainerError =>
  new TrainerError('InvalidConfiguration', message, { cause });

const listed = (file: string, problems: readonly string[]): TrainerError =>
  invalid(problems.length === 1 ? `${file}: ${problems[0]}` : [`${file}:`, ...problems].join('\n  - '));

function parseWith<T>(schema: z.ZodType<T>, value: unknown, { file, at = [] }: { file: string; at?: Path }): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw listed(file, problemsOf(parsed.error, value, fieldsOf(schema), at));
  return parsed.data;
}

/** Throws for a field that no schema knows: by hand there is no API server to refuse it. */
function checkNames(file: string, job: object): void {
  const fields = { apiVersion: {}, kind: {}, metadata: {}, spec: fieldsOf(specSchema), status: {} };
  const unknown = unknownFields(job, { properties: fields });
  if (unknown.length > 0) throw listed(file, unknown);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(`${file} cannot be read (${(error as Error).message})`, error);
  }
}

/** job.json, which the operator wrote: the specification comes with its defaults. */
export function readRunConfig(file: string): RunConfig {
  let value: unknown;
  try {
    value = JSON.parse(readText(file));
  } catch (error) {
    if (error instanceof TrainerError) throw error;
    throw invalid(`${file} is not JSON`, error);
  }
  return parseWith(runConfigSchema, value, { file });
}

/** What the API server would say of a manifest around its spec. */
function checkIdentity(file: string, job: Partial<DPOJob>, name: string): void {
  checkNames(file, job);
  if (job.apiVersion !== apiVersion)
    throw invalid(`${file}: apiVersion is ${String(job.apiVersion)}: it must be ${apiVersion}`);
  if (name.length <= maxNameLength && new RegExp(namePattern).test(name)) return;
  const allowed = `up to ${maxNameLength} of a to z, 0 to 9 and -, begin with a letter and not end with -`;
  throw invalid(`${file}: metadata.name is ${name}: it must have ${allowed}`);
}

/** A DPOJob's YAML, for a run by hand. Its UID is a hash of namespace and name, so that a second run resumes the first. */
export function readJobFile(file: string): RunConfig {
  let job: Partial<DPOJob> | undefined;
  try {
    job = parse(readText(file)) as Partial<DPOJob> | undefined;
  } catch (error) {
    if (error instanceof TrainerError) throw error;
    throw invalid(`${file} is not YAML: ${(error as Error).message}`, error);
  }
  const written: unknown = job?.kind;
  if (written !== kind && nearest(String(written), [kind]) !== undefined)
    throw invalid(`${file}: kind is ${String(written)}: did you mean ${kind}?`);
  if (job?.kind !== kind || job.metadata?.name === undefined) throw invalid(`${file} holds no DPOJob with a name`);
  const { name } = job.metadata;
  const namespace = (job.metadata as { namespace?: string }).namespace ?? 'default';
  const uid = createHash('sha256').update(`${namespace}/${name}`).digest('hex').slice(0, 32);
  checkIdentity(file, job, name);
  const spec = parseWith(specSchema, job.spec, { file, at: ['spec'] });
  return { namespace, name, uid, attempt: 1, spec };
}

/** `--betas 0.05,0.1`: the betas of a sweep. Throws InvalidConfiguration. */
export function readBetas(text: string): number[] {
  const betas = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  const wrong = betas.findIndex((beta) => !(beta > 0 && beta <= 1000));
  if (wrong >= 0) throw invalid(`--betas: '${text.split(',')[wrong]}' is not a number above 0 and at most 1000`);
  if (new Set(betas).size < betas.length) throw invalid(`--betas: '${text}' has a beta twice`);
  return betas;
}

/**
 * The part of a sweep that all betas share: beside the job's own checkpoints, so that the job can then be run with the beta
 * that the sweep advises. Nothing of it depends on beta, so that a sweep goes on when the manifest's beta was changed.
 */
export function sweepRun({ job, paths }: Run): Run {
  const training = { ...job.spec.training, beta: 1 };
  return {
    job: { ...job, spec: { ...job.spec, training } },
    paths: { ...paths, checkpoints: join(paths.checkpoints, 'sweep') },
  };
}

type Dataset = Pick<DPOJobSpec['dataset'], 'source' | 'configMapRef'>;

/** Finds the job's files below `volumes` and checks that the inputs are there. Throws InvalidConfiguration or InvalidData. */
export function resolveRun(job: RunConfig, volumes: string): Run {
  const { spec } = job;
  const fileOf = (source: string): string => {
    if (!isClaim(source)) return '';
    const { claim, path } = claimOf(source);
    return join(volumes, claim, path);
  };
  const dataset = (from: Dataset, kind: keyof typeof configMapFolders): string =>
    from.source === undefined ? join(configMapFolders[kind], from.configMapRef?.key ?? '') : fileOf(from.source);
  const sft = spec.sft?.dataset;
  const { source } = spec.output;
  const root = join(volumes, isClaim(source) ? claimOf(source).claim : workClaim(job.name));
  const paths = {
    model: fileOf(spec.model.source),
    adapter: spec.model.adapter && fileOf(spec.model.adapter.source),
    reference: spec.reference.source === undefined ? undefined : fileOf(spec.reference.source),
    dataset:
      spec.dataset.sources?.map(({ source }) => shownSource(source)).join(', ') ?? dataset(spec.dataset, 'dataset'),
    parts: spec.dataset.sources?.map(({ source, weight, format }) => ({
      path: fileOf(source),
      weight,
      format: format ?? spec.dataset.format,
    })),
    evalDataset: spec.dataset.evalSource === undefined ? undefined : fileOf(spec.dataset.evalSource),
    sftDataset: sft === undefined ? undefined : dataset(sft, 'sft-dataset'),
    output: isClaim(source) ? fileOf(source) : join(root, workOutput),
    checkpoints: join(root, checkpointFolder(job.uid)),
    cache: spec.cache === undefined ? join(root, cacheFolder) : fileOf(spec.cache.source),
  };
  checkInputs(paths, spec);
  checkOutput({ job, paths });
  return { job, paths };
}

/** A path without what does not matter: a trailing slash, links. */
const realPath = (path: string): string => (existsSync(path) ? realpathSync(path) : resolve(path));

type Model = 'model' | 'adapter' | 'reference';
/** The field of each folder of weights that is read. */
const modelFields: Record<Model, string> = {
  model: 'spec.model.source',
  adapter: 'spec.model.adapter.source',
  reference: 'spec.reference.source',
};
const modelSources = ({ model, reference }: DPOJobSpec): Record<Model, string | undefined> => ({
  model: model.source,
  adapter: model.adapter?.source,
  reference: reference.source,
});

/** A pushed model's place in one form: without a trailing slash, with the branch. */
const placeOf = (source: string): string =>
  source.startsWith('hf://') && !source.includes('@') ? `${source}@main` : source.replace(/\/+$/, '');

/** A model that is read is never written over. Throws InvalidConfiguration. */
export function checkOutput({ paths, job: { spec } }: Run): void {
  if (isClaim(spec.output.source) && statSync(paths.output, { throwIfNoEntry: false })?.isFile() === true)
    throw invalid(`spec.output.source: ${paths.output} is a file: name a folder, which need not be there`);
  const sources = modelSources(spec);
  for (const [key, field] of Object.entries(modelFields)) {
    const [folder, source] = [paths[key as Model], sources[key as Model]];
    const same = isClaim(spec.output.source)
      ? folder !== undefined && realPath(paths.output) === realPath(folder)
      : source !== undefined && placeOf(source) === placeOf(spec.output.source);
    if (same) throw invalid(`spec.output.source must not be the folder of ${field}`);
  }
}

const shownNames = 5;

/** Names beside a path that is missing, among which the one that was meant may be. */
function beside(path: string): string {
  const folder = dirname(path);
  if (!existsSync(folder)) return '';
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  const more = names.length > shownNames ? ', ...' : '';
  return names.length === 0 ? '; its folder is empty' : `; beside it: ${names.slice(0, shownNames).join(', ')}${more}`;
}

function checkInputs(paths: Run['paths'], spec: DPOJobSpec): void {
  const { dataset, sft } = spec;
  const models = modelSources(spec);
  const check = (reason: ExitReason, field: string, path: string | undefined, source: string | undefined): void => {
    if (path === undefined || path === '' || existsSync(path)) return;
    throw new TrainerError(
      reason,
      `${field}: ${source ?? 'the key of its ConfigMap'} is not there (${path}${beside(path)})`,
    );
  };
  for (const [key, field] of Object.entries(modelFields))
    check('InvalidConfiguration', field, paths[key as Model], models[key as Model]);
  if (paths.parts === undefined) check('InvalidData', 'spec.dataset', paths.dataset, dataset.source);
  for (const [i, { path }] of (paths.parts ?? []).entries())
    check('InvalidData', `spec.dataset.sources[${i}]`, path, dataset.sources?.[i]?.source);
  check('InvalidData', 'spec.dataset.evalSource', paths.evalDataset, dataset.evalSource);
  check('InvalidData', 'spec.sft.dataset', paths.sftDataset, sft?.dataset?.source);
}
