import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';

/** Statuses whose answer has no body. */
const bodiless: readonly number[] = [204, 205, 304];

/**
 * Sends a file, or a part of one, and answers as fetch does: fetch would take all of it into memory, however slow the wire
 * is (undici waits for no drain). Throws what the wire throws, and the signal's reason.
 */
export async function sendFile(
  url: string,
  how: { method: string; body: Blob; headers: Record<string, string>; signal: AbortSignal },
): Promise<Response> {
  const { method, body, headers, signal } = how;
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  const sent = request(url, { method, headers: { ...headers, 'content-length': body.size }, signal });
  const answered = once(sent, 'response');
  // A server that refuses may answer and close before it has read all: its answer counts.
  sent.on('error', () => {});
  const file = Readable.fromWeb(body.stream()).on('error', (error) => sent.destroy(error));
  file.pipe(sent);
  try {
    const [answer] = (await answered) as [Readable & { statusCode: number; statusMessage: string; headers: object }];
    const { statusCode: status, statusMessage: statusText } = answer;
    const content = bodiless.includes(status) ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
    return new Response(content, { status, statusText, headers: new Headers(Object.entries(answer.headers)) });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    file.unpipe(sent).destroy();
  }
}
