import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, type Compressors } from 'hyparquet';
import type { FileRow } from './row.ts';

/** Largest page, decompressed; writers make pages of about 1 MiB, some put a whole column of a row group in one. */
const mostPageBytes = 1 << 29;

/** A page holds as many bytes as its header says, and no more than is bearable. */
function pageSize(stated: number): { maxOutputLength: number } {
  if (stated > mostPageBytes) throw new Error(`a page of ${stated} bytes is larger than ${mostPageBytes}`);
  return { maxOutputLength: Math.max(1, stated) };
}

/** Node's own decompressors; hyparquet brings Snappy. */
const compressors: Compressors = {
  GZIP: (bytes, length) => gunzipSync(bytes, pageSize(length)),
  BROTLI: (bytes, length) => brotliDecompressSync(bytes, pageSize(length)),
  ZSTD: (bytes, length) => zstdDecompressSync(bytes, pageSize(length)),
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
