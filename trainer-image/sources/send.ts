import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';

/** What may be sent. */
export type Body = string | Uint8Array<ArrayBuffer> | Blob;

export const sizeOf = (body: Body): number =>
  body instanceof Blob ? body.size : typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;

/** Statuses whose answer has no body. */
const bodiless: readonly number[] = [204, 205, 304];
/** Bytes that are handed to the socket at once: more would hide for long how a slow wire goes on. */
const pieceSize = 1 << 16;

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceSize) yield bytes.subarray(at, at + pieceSize);
}

const readableOf = (body: Body): Readable =>
  body instanceof Blob
    ? Readable.fromWeb(body.stream())
    : Readable.from(piecesOf(typeof body === 'string' ? Buffer.from(body) : body));

/** How something is sent. */
export interface Sending {
  method: string;
  body: Body;
  headers: Record<string, string>;
  signal: AbortSignal;
  /** Hears of each piece that the socket took. */
  onPiece: () => void;
}

/**
 * Sends a body and answers as fetch does: fetch would take all of it into memory, however slow the wire is (undici waits for
 * no drain), and tells nothing of how it goes on. Throws what the wire throws, and the signal's reason.
 */
export async function send(url: string, { method, body, headers, signal, onPiece }: Sending): Promise<Response> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  const told = { 'user-agent': 'dpo-operator', ...headers, 'content-length': sizeOf(body) };
  const sent = request(url, { method, headers: told, signal });
  const answered = once(sent, 'response');
  // A server that refuses may answer and close before it has read all: its answer counts.
  sent.on('error', () => {});
  const source = readableOf(body).on('error', (error) => sent.destroy(error));
  // A piece leaves when the socket has room for it, that is, when those before it are gone.
  source.on('data', onPiece).pipe(sent);
  try {
    const [answer] = (await answered) as [Readable & { statusCode: number; statusMessage: string; headers: object }];
    const { statusCode: status, statusMessage: statusText } = answer;
    const content = bodiless.includes(status) ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
    return new Response(content, { status, statusText, headers: new Headers(Object.entries(answer.headers)) });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    source.unpipe(sent).destroy();
  }
}
