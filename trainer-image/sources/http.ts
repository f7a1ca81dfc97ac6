import { setTimeout as sleep } from 'node:timers/promises';
import { TrainerError } from '../errors.ts';

type HeaderMap = Record<string, string>;

/** A GET that can be made again, and from a later byte. */
export interface Ask {
  url: string;
  /** All headers of a request that is to carry the given ones: with credentials, or a signature over them. */
  headers: (given: HeaderMap) => HeaderMap | Promise<HeaderMap>;
}

/** For whom something is fetched. */
export interface Asker {
  /** The field that named the source, for messages: "spec.dataset". */
  field: string;
  /** The field that names its Secret, and which keys of that would let it in. */
  secretRef: string;
  credentials: string;
  /** The job's UID. */
  job: string;
  /** Called while waiting; it may throw to stop. */
  beat: () => void;
  /** Tells what is waited for. */
  tell: (message: string) => void;
  /** Waits so many seconds before another attempt. */
  pause: (seconds: number) => Promise<void>;
}

/** Attempts without a byte of progress before giving up: about a minute with the pauses between them. */
export const attempts = 6;
/** Seconds without a byte after which a connection is given up. */
const patience = 60;

/** A URL as it may stand in a log: without user, password, query (signatures stand there) and fragment. */
export function shownUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

const passes = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500;

/** Seconds before the next attempt: 1, 2, 4 ... or what the server asks for, at most 30. */
export function secondsBefore(attempt: number, response?: Response): number {
  const asked = Number(response?.headers.get('retry-after') ?? NaN);
  return Math.min(30, Number.isFinite(asked) ? Math.max(asked, 0) : 2 ** (attempt - 1));
}

/** Waits in short pieces, so that a stop is noticed: `beat` throws it. */
export async function waitBeating(seconds: number, beat: () => void): Promise<void> {
  for (let left = seconds; left > 0; left -= 0.5) {
    beat();
    await sleep(1000 * Math.min(0.5, left));
  }
}

/** Why a server's answer ends the run: another attempt would be answered the same. */
function refusal(
  { field, secretRef, credentials }: Asker,
  url: string,
  { status, statusText }: Response,
): TrainerError {
  const hints: Record<number, string> = {
    401: `set ${secretRef} to a Secret with ${credentials}`,
    403: `there are no credentials, or they may not read it: ${secretRef} names a Secret with ${credentials}`,
    404: 'it is not there, or only for whoever may read it: check the name, and the secretRef',
    416: 'it has changed while it was fetched',
  };
  const answer = `answered ${status} ${statusText}`.trim();
  const message = `${field}: ${shownUrl(url)} ${answer}: ${hints[status] ?? 'it cannot be read'}`;
  return new TrainerError('InvalidConfiguration', message);
}

export function unavailable({ field }: Asker, url: string, why: string): TrainerError {
  const message = `${field}: ${shownUrl(url)} could not be fetched in ${attempts} attempts (${why})`;
  return new TrainerError('SourceUnavailable', message);
}

/** Says why nothing comes and that it goes on, then waits before attempt `number` + 1. */
export async function pauseBefore(asker: Asker, url: string, { number, why, refused }: Failed): Promise<void> {
  const seconds = secondsBefore(number, refused);
  const again = `trying again in ${seconds} s, attempt ${number + 1} of ${attempts}`;
  asker.tell(`${asker.field}: cannot read ${shownUrl(url)}: ${why}; ${again}`);
  await asker.pause(seconds);
}
interface Failed extends Failure {
  /** Of the attempt that failed, from 1. */
  number: number;
}

/** What went wrong on the wire; fetch itself says only "fetch failed". */
export function wireError(error: unknown): string {
  const { message, cause } = error as Error;
  const { code, message: inner } = (cause ?? {}) as NodeJS.ErrnoException;
  return code ?? inner ?? message;
}

/** An answer whose body is given up when nothing comes for a while; `touch` at every piece that came. */
export interface Answer {
  response: Response;
  touch: () => void;
}

/** Redirects that are followed. */
const hops = 10;
const redirects: readonly number[] = [301, 302, 303, 307, 308];
const credentialHeaders: readonly string[] = ['authorization', 'x-amz-security-token', 'cookie'];

/** Where an answer sends on to; undefined for any other. Throws InvalidConfiguration when that leaves encryption. */
function nextHop(from: string, { status, headers }: Response, ask: Ask, asker: Asker): string | undefined {
  const location = redirects.includes(status) ? headers.get('location') : null;
  if (location === null) return undefined;
  const to = new URL(location, from).href;
  if (!from.startsWith('https:') || to.startsWith('https:')) return to;
  const message = `${asker.field}: ${shownUrl(ask.url)} redirects to http, where anybody can change what is read`;
  throw new TrainerError('InvalidConfiguration', message);
}

/** Follows redirects hop by hop: each is checked, and credentials go to no other origin, nor from there anywhere. */
async function follow(ask: Ask, asker: Asker, given: HeaderMap, signal: AbortSignal): Promise<Response> {
  let [url, headers] = [ask.url, await ask.headers(given)];
  for (let hop = 0; hop <= hops; hop++) {
    const response = await fetch(url, { headers, signal, redirect: 'manual' });
    const to = nextHop(url, response, ask, asker);
    if (to === undefined) return response;
    await response.body?.cancel();
    if (new URL(to).origin !== new URL(url).origin) {
      const kept = Object.entries(headers).filter(([name]) => !credentialHeaders.includes(name.toLowerCase()));
      headers = Object.fromEntries(kept);
    }
    url = to;
  }
  const message = `${asker.field}: ${shownUrl(ask.url)} redirects more than ${hops} times`;
  throw new TrainerError('InvalidConfiguration', message);
}

/** Makes the request once. Throws what the wire throws, and InvalidConfiguration for redirects that are not followed. */
async function once(ask: Ask, asker: Asker, headers: HeaderMap): Promise<Answer> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`no byte for ${patience} s`)), patience * 1000).unref();
  const response = await follow(ask, asker, headers, silence.signal);
  return { response, touch: () => timer.refresh() };
}

/** The answer, or why there is none that can be used, with the answer that said so. */
async function attempt(ask: Ask, asker: Asker, headers: HeaderMap, also: number[]): Promise<Answer | Failure> {
  try {
    const answer = await once(ask, asker, headers);
    const { ok, status, statusText, body } = answer.response;
    if (ok || also.includes(status)) return answer;
    await body?.cancel();
    return { why: `${status} ${statusText}`.trim(), refused: answer.response };
  } catch (error) {
    if (error instanceof TrainerError) throw error;
    return { why: wireError(error) };
  }
}
interface Failure {
  why: string;
  refused?: Response;
}

/**
 * The server's answer, with status 2xx or one of `also`; trouble that passes is waited for and tried again. Throws
 * InvalidConfiguration for an answer that would be the same again, SourceUnavailable when the attempts are used up.
 */
export async function get(
  ask: Ask,
  asker: Asker,
  { headers = {}, also = [] }: { headers?: HeaderMap; also?: number[] } = {},
): Promise<Answer> {
  for (let number = 1; ; number++) {
    const result = await attempt(ask, asker, headers, also);
    if ('response' in result) return result;
    const { why, refused } = result;
    if (refused !== undefined && !passes(refused.status)) throw refusal(asker, ask.url, refused);
    if (number === attempts) throw unavailable(asker, ask.url, why);
    await pauseBefore(asker, ask.url, { number, ...result });
  }
}

/** The whole answer as text; a body that breaks off is asked for again. */
export async function getText(ask: Ask, asker: Asker): Promise<string> {
  for (let number = 1; ; number++) {
    const { response } = await get(ask, asker);
    try {
      return await response.text();
    } catch (error) {
      const why = wireError(error);
      if (number === attempts) throw unavailable(asker, ask.url, why);
      await pauseBefore(asker, ask.url, { number, why });
    }
  }
}

/** The answer as JSON. Throws InvalidConfiguration for one that is none. */
export async function getJson(ask: Ask, asker: Asker): Promise<unknown> {
  const text = await getText(ask, asker);
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `${asker.field}: ${shownUrl(ask.url)} answers with something that is not JSON: is it a page to log in? Is the address right?`;
    throw new TrainerError('InvalidConfiguration', message, { cause: error });
  }
}
