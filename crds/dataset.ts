import { z } from 'zod';
import { matching, objectName, withRules, type Rule } from './rules.ts';
import { dataFile, dataSource, digest, secretRef } from './sources.ts';

/** Parts of the schemas of `dataset` and `sft.dataset` that both have, and their rules. */

/** Formats of data files. */
export const datasetFormats = ['jsonl', 'json', 'parquet'] as const;
export type DatasetFormat = (typeof datasetFormats)[number];

export const split = z.string().min(1).max(128).optional();

const format = z
  .enum(datasetFormats)
  .optional()
  .describe(
    'By default from the name: .jsonl, .json (an array of objects) or .parquet, else jsonl; gzip and zstd are told by their content',
  );
export const configuration = z.string().min(1).max(128).optional();
const subset = configuration.describe('Configuration of a data set of the Hub');
const trainSplit = split.describe('Split of a data set of the Hub; by default train');
const contentDigest = digest
  .optional()
  .describe('sha256: of the file, or of what sha256sum prints of all files of the folder');

export const datasetSource = {
  source: dataSource
    .optional()
    .describe(
      'File of preference pairs, or folder of such files: pvc://claim/path, hf://datasets/org/name@revision, s3://bucket/key or https://host/path',
    ),
  format,
  configMapRef: z
    .object({
      name: withRules(z.string().min(1).max(253), [objectName('a ConfigMap')]),
      // A file's name in the folder where the ConfigMap is mounted.
      key: withRules(z.string().min(1).max(253), [
        matching(
          /^[-_A-Za-z0-9]?([-_A-Za-z0-9][.]?)+$|^[.][-_A-Za-z0-9]+$/,
          "must be a ConfigMap's key, such as data.jsonl",
        ),
      ]).default('data.jsonl'),
    })
    .optional()
    .describe('A small data set held in a ConfigMap of the same namespace'),
  secretRef: secretRef.optional(),
  digest: contentDigest,
  subset,
  split: trainSplit,
};

interface Sources {
  source?: string | undefined;
  configMapRef?: object | undefined;
  split?: string | undefined;
  subset?: string | undefined;
}
interface DatasetSources extends Sources {
  sources?: readonly object[] | undefined;
  digest?: string | undefined;
  evalSource?: string | undefined;
  evalSplit?: string | undefined;
  evalSubset?: string | undefined;
}
const onHub = (source: string | undefined): boolean => source?.startsWith('hf://datasets/') ?? false;

const splitRules: readonly Rule<Sources>[] = [
  {
    cel: "!(has(self.split) || has(self.subset)) || (has(self.source) && self.source.startsWith('hf://datasets/'))",
    holds: ({ source, split: named, subset }) => (named ?? subset) === undefined || onHub(source),
    field: 'split',
    message: 'split and subset choose from a data set of the Hub: source must be hf://datasets/...',
  },
  {
    cel: `!(has(self.split) || has(self.subset)) || !has(self.source) || !self.source.matches('${dataFile.source}')`,
    holds: ({ source, split: named, subset }) => (named ?? subset) === undefined || !dataFile.test(source ?? ''),
    field: 'split',
    message: 'split and subset choose among files: source must not name one file',
  },
];
/** Rules of spec.sft.dataset. */
export const sourceRules: readonly Rule<Sources>[] = [
  {
    cel: 'has(self.source) != has(self.configMapRef)',
    holds: ({ source, configMapRef }) => (source === undefined) !== (configMapRef === undefined),
    field: 'source',
    message: 'exactly one of source and configMapRef must be set',
  },
  ...splitRules,
];

/** Data sets that are trained on together. */
export const mixture = z
  .array(
    withRules(
      z.object({
        source: dataSource.describe('As dataset.source'),
        weight: z
          .number()
          .gt(0)
          .max(100)
          .default(1)
          .describe('How often each row is used in an epoch: 0.5 takes every second row, 2 takes each row twice'),
        format,
        digest: contentDigest,
        subset,
        split: trainSplit,
      }),
      splitRules,
    ),
  )
  .min(1)
  .max(16)
  .meta({ 'x-kubernetes-list-type': 'atomic' })
  .optional()
  .describe('Several data sets, mixed by weight, in the place of source; secretRef and columns are those of all');

/** Rules of spec.dataset. */
export const datasetRules: readonly Rule<DatasetSources>[] = [
  {
    cel: '[has(self.source), has(self.sources), has(self.configMapRef)].filter(each, each).size() == 1',
    holds: ({ source, sources, configMapRef }) =>
      [source, sources, configMapRef].filter((each) => each !== undefined).length === 1,
    field: 'source',
    message: 'exactly one of source, sources and configMapRef must be set',
  },
  {
    cel: '!(has(self.sources) && has(self.digest))',
    holds: ({ sources, digest: given }) => sources === undefined || given === undefined,
    field: 'digest',
    message: 'digest is that of source: each of sources has its own',
  },
  ...splitRules,
  {
    cel: "!(has(self.evalSplit) || has(self.evalSubset)) || (has(self.evalSource) && self.evalSource.startsWith('hf://datasets/'))",
    holds: ({ evalSource, evalSplit, evalSubset }) => (evalSplit ?? evalSubset) === undefined || onHub(evalSource),
    field: 'evalSplit',
    message: 'evalSplit and evalSubset choose from a data set of the Hub: evalSource must be hf://datasets/...',
  },
  {
    cel: `!(has(self.evalSplit) || has(self.evalSubset)) || !has(self.evalSource) || !self.evalSource.matches('${dataFile.source}')`,
    holds: ({ evalSource, evalSplit, evalSubset }) =>
      (evalSplit ?? evalSubset) === undefined || !dataFile.test(evalSource ?? ''),
    field: 'evalSplit',
    message: 'evalSplit and evalSubset choose among files: evalSource must not name one file',
  },
];

const columnNames = { prompt: 'prompt', chosen: 'chosen', rejected: 'rejected' };
const column = (name: string) => z.string().min(1).max(128).default(name);

export const columnsSchema = z
  .object({
    prompt: column(columnNames.prompt).describe('Column of the prompt'),
    chosen: column(columnNames.chosen).describe('Column of the preferred answer'),
    rejected: column(columnNames.rejected).describe('Column of the rejected answer'),
  })
  .default(columnNames)
  .describe("Names of the data set's columns");
