import { createHash, randomUUID, type Hash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { commit, writing } from '../checkpoint/durable.ts';
import { TrainerError } from '../errors.ts';
import { attempts, pauseBefore, request, shownUrl, unavailable, wireError, type Answer, type Asker } from './http.ts';
import type { RemoteFile } from './listing.ts';

/** A file that is being written: what has arrived so far and its running digests. */
class Partial {
  readonly path: string;
  readonly #descriptor: number;
  #sha256: Hash = createHash('sha256');
  /** git's digest of a blob, where that is what the server tells: it covers a header with the size. */
  #git: Hash | undefined;
  readonly #header: string | undefined;
  bytes = 0;

  constructor(target: string, { size, gitSha1 }: RemoteFile) {
    // A name of its own: another pod may fetch the same file into the same folder.
    this.path = `${target}.${randomUUID()}.partial`;
    this.#descriptor = openSync(this.path, 'wx');
    this.#header = gitSha1 === undefined || size === undefined ? undefined : `blob ${size}\0`;
    this.restart();
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;)
      at += writeSync(this.#descriptor, chunk, at, chunk.length - at, this.bytes + at);
    this.#sha256.update(chunk);
    this.#git?.update(chunk);
    this.bytes += chunk.length;
  }

  restart(): void {
    ftruncateSync(this.#descriptor, 0);
    this.bytes = 0;
    this.#sha256 = createHash('sha256');
    this.#git = this.#header === undefined ? undefined : createHash('sha1').update(this.#header);
  }

  /** What is wrong with the whole file by what the server told, or undefined. */
  complaint({ size, sha256, gitSha1 }: RemoteFile): string | undefined {
    if (size !== undefined && this.bytes !== size) return `${this.bytes} of ${size} bytes arrived`;
    const [own, ownGit] = [this.#sha256.copy().digest('hex'), this.#git?.copy().digest('hex')];
    if (sha256 !== undefined && own !== sha256) return `its SHA-256 is ${own}, the server tells ${sha256}`;
    if (ownGit !== undefined && ownGit !== gitSha1) {
      return `git's SHA-1 of it is ${ownGit}, the server tells ${gitSha1}`;
    }
    return undefined;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** The connection broke, or what came over it was wrong: another attempt may do better. */
class WireError extends Error {}

async function* piecesOf({ response, touch }: Answer): AsyncGenerator<Uint8Array> {
  const reader = (response.body ?? new Blob([]).stream()).getReader();
  try {
    for (;;) {
      const piece = await reader.read().catch((error: unknown) => {
        throw new WireError(wireError(error));
      });
      if (piece.done) return;
      touch();
      yield piece.value as Uint8Array;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Asks for the bytes from there on, of the same version: a server that has another sends all of it. */
function headersFrom(bytes: number, { etag }: RemoteFile): Record<string, string> {
  if (bytes === 0) return {};
  // A weak ETag names no bytes: RFC 9110, section 13.1.5.
  const same = etag === undefined || etag.startsWith('W/') ? {} : { 'if-range': etag };
  return { range: `bytes=${bytes}-`, ...same };
}

/** The folder is named after what was listed: another version must not get into it. Throws SourceUnavailable. */
async function requireSame(file: RemoteFile, { response }: Answer, asker: Asker): Promise<void> {
  const bare = (etag: string): string => etag.replace(/^W\//, '');
  const found = response.headers.get('etag') ?? undefined;
  if (file.etag === undefined || found === undefined || bare(found) === bare(file.etag)) return;
  await response.body?.cancel();
  const message = `${asker.field}: ${shownUrl(file.ask.url)} changed while it was fetched: the next attempt takes what is there then`;
  throw new TrainerError('SourceUnavailable', message);
}

/** Takes what the server sends from the byte where the file ends until it is whole. Throws WireError, DiskFull. */
async function receive(file: RemoteFile, partial: Partial, asker: Asker, onBytes: OnBytes): Promise<void> {
  const beginAnew = (): void => {
    onBytes(-partial.bytes);
    partial.restart();
  };
  const answer = await request(file.ask, asker, { headers: headersFrom(partial.bytes, file) });
  await requireSame(file, answer, asker);
  if (partial.bytes > 0 && answer.response.status !== 206) beginAnew();
  for await (const piece of piecesOf(answer)) {
    writing(file.path, () => partial.write(piece));
    onBytes(piece.length);
  }
  const complaint = partial.complaint(file);
  if (complaint === undefined) return;
  // All of it came and it is wrong.
  if (partial.bytes >= (file.size ?? 0)) beginAnew();
  throw new WireError(complaint);
}

async function receiveWhole(file: RemoteFile, partial: Partial, asker: Asker, onBytes: OnBytes): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const before = partial.bytes;
    let why: string;
    try {
      return await receive(file, partial, asker, onBytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      if (partial.bytes > before) attempt = 1;
      why = error.message;
      if (attempt === attempts) throw unavailable(asker, file.ask.url, why);
    }
    await pauseBefore(asker, file.ask.url, { number: attempt, why });
  }
}

/** Hears of bytes that arrived; negative when the file begins anew. It may throw to stop. */
export type OnBytes = (bytes: number) => void;

/**
 * Fetches a file, going on where a broken connection left it, and puts it in its place when it is whole and has the size
 * and the digest that the server told. Throws SourceUnavailable when the attempts without progress are used up, DiskFull,
 * what `request` throws and what `onBytes` throws.
 */
export async function download(file: RemoteFile, target: string, asker: Asker, onBytes: OnBytes): Promise<void> {
  const partial = writing(file.path, () => new Partial(target, file));
  try {
    await receiveWhole(file, partial, asker, onBytes);
    // Whoever else puts it there puts the same.
    writing(file.path, () => commit(partial.path, target, () => {}));
  } finally {
    partial.close();
    rmSync(partial.path, { force: true });
  }
}

/** Whether a file is there whole: it was renamed when it was, and its size tells one that was damaged later. */
export function isFetched(target: string, size: number | undefined): boolean {
  const found = statSync(target, { throwIfNoEntry: false });
  return found !== undefined && (size === undefined || found.size === size);
}
