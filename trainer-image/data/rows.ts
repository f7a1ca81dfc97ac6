import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { TrainerError } from '../errors.ts';

/** A line of a data file: its number, counted from 1, and what stands in it. */
export interface Row {
  row: number;
  columns: Record<string, unknown>;
}

/** An error of one row: it names file and line. */
export function rowError(file: string, row: number, what: string, cause?: unknown): TrainerError {
  return new TrainerError('InvalidData', `${file}, line ${row}: ${what}`, { cause });
}

function parse(file: string, row: number, line: string): Row {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw rowError(file, row, `it is not JSON (${(error as Error).message})`, error);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw rowError(file, row, 'it is not a JSON object with the columns as its keys');
  }
  return { row, columns: value as Record<string, unknown> };
}

/** Reads a JSONL or JSONL.gz file row by row. Empty lines are passed over. Throws InvalidData with the line. */
export async function* readRows(file: string): AsyncGenerator<Row> {
  const raw = createReadStream(file);
  const text: Readable = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
  // A pipe does not hand its source's error on.
  raw.on('error', (error) => text.destroy(error));
  let row = 0;
  try {
    for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
      row += 1;
      if (line.trim() !== '') yield parse(file, row, row === 1 ? line.replace(/^\uFEFF/, '') : line);
    }
  } catch (error) {
    if (error instanceof TrainerError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const what = missing ? 'it is missing' : `it cannot be read after line ${row} (${(error as Error).message})`;
    throw new TrainerError('InvalidData', `${file}: ${what}`, { cause: error });
  } finally {
    raw.destroy();
  }
}
