import { join } from 'node:path';
import type { DatasetFormat } from '../../crds/dataset.ts';
import { dataFile } from '../../crds/sources.ts';
import { TrainerError } from '../errors.ts';
import { filesBelow, kindOf } from '../files-below.ts';
import { readJson, readJsonLines } from './json.ts';
import { readParquet } from './parquet.ts';
import { parseColumns, type FileRow, type Row } from './row.ts';

const readers = {
  jsonl: readJsonLines,
  json: readJson,
  parquet: readParquet,
} satisfies Record<DatasetFormat, (file: string) => AsyncIterable<FileRow>>;

/** The format that a file's name tells; JSONL where it tells none. */
function formatOf(file: string): DatasetFormat {
  const format = dataFile.exec(file)?.[1];
  return format === 'json' || format === 'parquet' ? format : 'jsonl';
}

/** A part of a mixture. */
export interface Part {
  path: string;
  /** How often each of its rows is used. */
  weight: number;
  format?: DatasetFormat | undefined;
}

/** A row of a mixture, counted over all its parts. */
export interface MixedRow extends Row {
  part: number;
  /** How often it is used; may be 0. */
  copies: number;
}

/** Row `i` of a part: rows are chosen, or repeated, evenly, so that of n rows floor(n × weight) are used. */
const copiesOf = (i: number, weight: number): number => Math.floor((i + 1) * weight) - Math.floor(i * weight);

/** Reads the parts of a mixture one after the other. Throws what `readRows` throws. */
export async function* readParts(parts: readonly Part[]): AsyncGenerator<MixedRow> {
  let before = 0;
  for (const [part, { path, weight, format }] of parts.entries()) {
    let [last, i] = [before, 0];
    for await (const row of readRows(path, format)) {
      last = before + row.row;
      yield { ...row, row: last, part, copies: copiesOf(i, weight) };
      i += 1;
    }
    before = last;
  }
}

/** The file, or all data files below a folder in the order of their names. */
function filesOf(path: string): string[] {
  const kind = kindOf(path);
  if (kind === 'other') throw new TrainerError('InvalidData', `${path}: it is no file and no folder`);
  if (kind !== 'folder') return [path];
  const files = filesBelow(path).filter((name) => dataFile.test(name));
  if (files.length > 0) return files.map((name) => join(path, name));
  throw new TrainerError('InvalidData', `${path}: the folder holds no .jsonl, .json or .parquet file`);
}

async function* readFile(file: string, format: DatasetFormat, before: number): AsyncGenerator<Row> {
  let last = '';
  try {
    for await (const { unit, number, content } of readers[format](file)) {
      last = ` after ${unit} ${number}`;
      const at = `${file}, ${unit} ${number}`;
      const columns = typeof content === 'string' ? parseColumns(content, at) : content;
      yield { row: before + number, columns, at };
    }
  } catch (error) {
    if (error instanceof TrainerError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const what = missing ? 'it is missing' : `it cannot be read${last} (${(error as Error).message})`;
    throw new TrainerError('InvalidData', `${file}: ${what}`, { cause: error });
  }
}

/**
 * Reads a data file, or a folder of them, row by row: JSONL, a JSON array or Parquet, the first two also compressed by
 * gzip or zstd. The format comes from the name unless it is given. Throws InvalidData with the file and the line or row.
 */
export async function* readRows(path: string, format?: DatasetFormat): AsyncGenerator<Row> {
  let before = 0;
  for (const file of filesOf(path)) {
    let last = before;
    for await (const row of readFile(file, format ?? formatOf(file), before)) {
      last = row.row;
      yield row;
    }
    before = last;
  }
}
