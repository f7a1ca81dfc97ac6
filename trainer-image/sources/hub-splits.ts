import { posix } from 'node:path';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import type { Asker } from './http.ts';

const paths = z.union([z.string(), z.array(z.string())]);
const configurationsSchema = z.array(
  z.object({
    config_name: z.string(),
    default: z.boolean().optional(),
    data_files: z.union([paths, z.array(z.object({ split: z.string(), path: paths }))]).optional(),
  }),
);
/** A configuration ("subset") that a data set's card declares. */
export type Configuration = z.infer<typeof configurationsSchema>[number];

/** The card's configurations, where it has any that are understood. */
export function configurationsOf(card: unknown): Configuration[] {
  const parsed = configurationsSchema.safeParse(card);
  return parsed.success ? parsed.data : [];
}

/** Words by which the Hub's own library finds a split in file names. */
const words: Record<string, readonly string[]> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'dev', 'val'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

/** Only one format is read: Parquet where there is any, else JSONL and JSON. */
function oneFormat(files: readonly string[]): string[] {
  const parquet = files.filter((file) => file.endsWith('.parquet'));
  return parquet.length > 0 ? parquet : [...files];
}

/** By name: numbered shards, then a word of the path, then a part of one, as in `my_train.jsonl`. */
function byName(files: readonly string[], split: string): string[] {
  const any = (words[split] ?? [split]).map(escape).join('|');
  const rules = [
    new RegExp(`(^|/)(${any})-\\d{5}-of-\\d{5}`),
    new RegExp(`(^|[/.-])(${any})([/.-]|$)`),
    new RegExp(`(^|[/._-])(${any})([/._-]|$)`),
  ];
  for (const rule of rules) {
    const found = files.filter((file) => rule.test(file));
    if (found.length > 0) return found;
  }
  const namesSplit = (file: string): boolean =>
    file.split(/[/._-]/).some((word) => Object.values(words).flat().includes(word));
  return split === 'train' && !files.some(namesSplit) ? [...files] : [];
}

function byCard(files: readonly string[], { data_files: declared = [] }: Configuration, split: string): string[] {
  if (declared.length === 0) return byName(files, split);
  const entries = (typeof declared === 'string' ? [declared] : declared).map((entry) =>
    typeof entry === 'string' ? { split: 'train', path: entry } : entry,
  );
  const globs = entries.filter((entry) => entry.split === split).flatMap(({ path }) => path);
  return files.filter((file) => globs.some((glob) => posix.matchesGlob(file, glob)));
}

/**
 * The files of a split, and of a subset, of a data set of the Hub: by its card's configurations where it declares any,
 * else by the names of files and folders. Throws InvalidConfiguration with what there is to choose from.
 */
export function chooseSplit(
  files: readonly string[],
  configurations: readonly Configuration[],
  { split, subset }: { split: string; subset?: string | undefined },
  { field }: Asker,
): string[] {
  const some = (found: readonly string[], otherwise: string): readonly string[] => {
    if (found.length > 0) return found;
    throw new TrainerError('InvalidConfiguration', `${field}: ${otherwise}`);
  };
  const listed = files.slice(0, 8).join(', ') || 'none';
  const noSplit = `no file is of the split ${split}; data files are ${listed}: set split, or name a path in the source`;
  if (configurations.length === 0) {
    const inSubset = subset === undefined ? files : files.filter((file) => file.split('/').includes(subset));
    some(inSubset, `there is no subset ${subset}; data files are ${listed}`);
    return oneFormat(some(byName(inSubset, split), noSplit));
  }
  const isWanted = (each: Configuration): boolean =>
    subset === undefined
      ? each.default === true || configurations.length === 1 || each.config_name === 'default'
      : each.config_name === subset;
  const names = configurations.map((each) => each.config_name).join(', ');
  const [configuration] = configurations.filter(isWanted);
  if (configuration === undefined) return [...some([], `set subset to one of ${names}`)];
  return oneFormat(some(byCard(files, configuration, split), noSplit));
}
