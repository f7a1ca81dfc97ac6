import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, type Compressors } from 'hyparquet';
import type { FileRow } from './row.ts';

/** Node's own decompressors; hyparquet brings Snappy. */
const compressors: Compressors = {
  GZIP: (bytes) => gunzipSync(bytes),
  BROTLI: (bytes) => brotliDecompressSync(bytes),
  ZSTD: (bytes) => zstdDecompressSync(bytes),
};

/** A value as JSON would have it: whole numbers of 64 bits come as BigInt. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

/** Rows of a Parquet file; one row group is in memory at a time. */
export async function* readParquet(path: string): AsyncGenerator<FileRow> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  let number = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = number + Number(group.num_rows);
    const rows = await parquetReadObjects({ file, metadata, compressors, rowStart: number, rowEnd });
    for (const row of rows) {
      yield { unit: 'row', number: (number += 1), content: plain(row) as Record<string, unknown> };
    }
  }
}
