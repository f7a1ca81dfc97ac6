import { closeSync, createReadStream, openSync, readSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip, createZstdDecompress } from 'node:zlib';

type Pieces = AsyncGenerator<Buffer>;
const chunk = { highWaterMark: 1 << 18 };

/** The pieces of a stream that is closed when whoever reads it stops. */
async function* plain(file: string): Pieces {
  yield* createReadStream(file, chunk) as AsyncIterable<Buffer>;
}

async function* gunzipped(file: string): Pieces {
  const raw = createReadStream(file, chunk);
  // Errors come out of the loop: `pipeline` hands them on to its last stream.
  yield* pipeline(raw, createGunzip(), () => {}) as AsyncIterable<Buffer>;
}

/** Node.js ends at the end of a frame, and a file may have several: `pzstd`, or files put one after the other. */
async function* unzstd(file: string): Pieces {
  const { size } = statSync(file);
  for (let start = 0; start < size;) {
    const frame = createZstdDecompress();
    const raw = createReadStream(file, { ...chunk, start });
    yield* pipeline(raw, frame, () => {}) as AsyncIterable<Buffer>;
    raw.destroy();
    if (frame.bytesWritten === 0) throw new Error(`nothing can be decompressed at byte ${start}`);
    start += frame.bytesWritten;
  }
}

/** Compressions by the bytes that such a file begins with: a name may tell nothing, or something else. */
const compressions: readonly { magic: RegExp; open: (file: string) => Pieces }[] = [
  { magic: /^1f8b/, open: gunzipped },
  // The second is a frame to be skipped, with which `pzstd` begins.
  { magic: /^28b52ffd|^5[0-9a-f]2a4d18/, open: unzstd },
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
  const open = compressions.find((each) => each.magic.test(magic))?.open ?? plain;
  const decoder = new StringDecoder('utf8');
  let first = true;
  for await (const bytes of open(file)) {
    const piece = decoder.write(bytes);
    yield first ? piece.replace(/^\uFEFF/, '') : piece;
    first = first && piece === '';
  }
  yield decoder.end();
}
