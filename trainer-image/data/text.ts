import { createReadStream, openSync, readSync, closeSync } from 'node:fs';
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';

/** Compressions by the bytes that such a file begins with: a name may tell nothing, or something else. */
const compressions: readonly { magic: string; open: () => Transform }[] = [
  { magic: '1f8b', open: createGunzip },
  { magic: '28b52ffd', open: createZstdDecompress },
];

function beginning(file: string): string {
  const bytes = Buffer.alloc(4);
  const handle = openSync(file, 'r');
  try {
    return bytes.subarray(0, readSync(handle, bytes)).toString('hex');
  } finally {
    closeSync(handle);
  }
}

/** The file's text in pieces, decompressed where it is compressed, without a byte order mark. Throws what reading throws. */
export async function* readText(file: string): AsyncGenerator<string> {
  const magic = beginning(file);
  const compression = compressions.find((each) => magic.startsWith(each.magic));
  const raw = createReadStream(file, { highWaterMark: 1 << 18 });
  // The error comes out of the loop below: `pipeline` hands it on to its last stream.
  const bytes: Readable = compression === undefined ? raw : pipeline(raw, compression.open(), () => {});
  try {
    let first = true;
    for await (const piece of bytes.setEncoding('utf8') as AsyncIterable<string>) {
      yield first ? piece.replace(/^\uFEFF/, '') : piece;
      first = false;
    }
  } finally {
    raw.destroy();
  }
}
