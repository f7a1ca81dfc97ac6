import { z } from 'zod';
import type { Rule } from './rules.ts';
import { dataSource, digest, secretRef } from './sources.ts';

/** Parts of the schemas of `dataset` and `sft.dataset` that both have, and their rules. */

/** Formats of data files. */
export const datasetFormats = ['jsonl', 'json', 'parquet'] as const;
export type DatasetFormat = (typeof datasetFormats)[number];

export const split = z.string().min(1).max(128).optional();

export const datasetSource = {
  source: dataSource
    .optional()
    .describe(
      'File of preference pairs, or folder of such files: pvc://claim/path, hf://datasets/org/name@revision, s3://bucket/key or https://host/path',
    ),
  format: z
    .enum(datasetFormats)
    .optional()
    .describe(
      'By default from the name: .jsonl, .json (an array of objects) or .parquet, else jsonl; gzip and zstd are told by their content',
    ),
  configMapRef: z
    .object({ name: z.string().min(1).max(253), key: z.string().min(1).max(253).default('data.jsonl') })
    .optional()
    .describe('A small data set held in a ConfigMap of the same namespace'),
  secretRef: secretRef.optional(),
  digest: digest.optional().describe('sha256: of the file, or of what sha256sum prints of all files of the folder'),
  subset: z.string().min(1).max(128).optional().describe('Configuration of a data set of the Hub'),
  split: split.describe('Split of a data set of the Hub; by default train'),
};

interface Sources {
  source?: string | undefined;
  configMapRef?: object | undefined;
  split?: string | undefined;
  subset?: string | undefined;
}
interface EvalSources {
  evalSource?: string | undefined;
  evalSplit?: string | undefined;
}
const onHub = (source: string | undefined): boolean => source?.startsWith('hf://datasets/') ?? false;

/** Rules of whatever names a data set. */
export const sourceRules: readonly Rule<Sources>[] = [
  {
    cel: 'has(self.source) != has(self.configMapRef)',
    holds: ({ source, configMapRef }) => (source === undefined) !== (configMapRef === undefined),
    field: 'source',
    message: 'exactly one of source and configMapRef must be set',
  },
  {
    cel: "!(has(self.split) || has(self.subset)) || (has(self.source) && self.source.startsWith('hf://datasets/'))",
    holds: ({ source, split: named, subset }) => (named ?? subset) === undefined || onHub(source),
    field: 'split',
    message: 'split and subset choose from a data set of the Hub: source must be hf://datasets/...',
  },
];
/** Rules of spec.dataset. */
export const datasetRules: readonly Rule<Sources & EvalSources>[] = [
  ...sourceRules,
  {
    cel: "!has(self.evalSplit) || (has(self.evalSource) && self.evalSource.startsWith('hf://datasets/'))",
    holds: ({ evalSource, evalSplit }) => evalSplit === undefined || onHub(evalSource),
    field: 'evalSplit',
    message: 'evalSplit chooses from a data set of the Hub: evalSource must be hf://datasets/...',
  },
];

const columnNames = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };
const column = (name: string) => z.string().min(1).max(128).default(name);

export const columnsSchema = z
  .object({
    prompt: column(columnNames.prompt),
    chosen: column(columnNames.chosen),
    rejected: column(columnNames.rejected),
  })
  .default(columnNames)
  .describe("Names of the data set's columns");
