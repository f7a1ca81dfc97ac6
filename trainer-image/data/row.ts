import { TrainerError } from '../errors.ts';

/** A row of a data set and what stands in it. */
export interface Row {
  /** Counted from 1 over all files of the data set; in a single JSONL file, the line. */
  row: number;
  columns: Record<string, unknown>;
  /** Where it stands, for people: "pairs.jsonl, line 3". */
  at?: string;
}

/** A row of one file: its number there, counted from 1, as columns or as their JSON text. */
export interface FileRow {
  unit: 'line' | 'row';
  number: number;
  content: string | Record<string, unknown>;
}

/** An error of one row: it names the file and the line or row. */
export function rowError(file: string, row: Row | number, what: string, cause?: unknown): TrainerError {
  const at = typeof row === 'number' ? `${file}, line ${row}` : (row.at ?? `${file}, line ${row.row}`);
  return new TrainerError('InvalidData', `${at}: ${what}`, { cause });
}

/** Columns of a row written as JSON. `at` is its place. Throws InvalidData. */
export function parseColumns(text: string, at: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TrainerError('InvalidData', `${at}: it is not JSON (${(error as Error).message})`, { cause: error });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new TrainerError('InvalidData', `${at}: it is not a JSON object with the columns as its keys`);
}
