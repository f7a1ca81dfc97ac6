import { setTimeout as sleep } from 'node:timers/promises';
import { TrainerError } from '../errors.ts';
import { send, sizeOf, type Body, type Sending } from './send.ts';

type HeaderMap = Record<string, string>;

/** A request that can be made again; a GET also from a later byte. */
export interface Ask {
  url: string;
  /** By default GET. */
  method?: 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  body?: Body;
  /** All headers of a request that is to carry the given ones: with credentials, or a signature over them. */
  headers: (given: HeaderMap) => HeaderMap | Promise<HeaderMap>;
}

/** For whom something is fetched, or pushed. */
export interface Asker {
  /** The field that named the source, for messages: "spec.dataset". */
  field: string;
  /** The field that names its Secret, and which keys of that would let it in. */
  secretRef: string;
  credentials: string;
  /** Whether it is written to. */
  writes?: boolean;
  /** Whether its credentials were good when the job began. */
  wasLetIn?: boolean;
  /** The job's UID. */
  job: string;
  /** Called while waiting, and as bytes are sent; it may throw to stop. */
  beat: () => void;
  /** Called instead while none are: throws to stop, and tells no progress. */
  heed?: () => void;
  /** Seconds without a byte after which a connection is given up. */
  patience?: number | undefined;
  /** Tells what is waited for. */
  tell: (message: string) => void;
  /** Waits so many seconds before another attempt. */
  pause: (seconds: number) => Promise<void>;
}

/** Attempts without a byte of progress before giving up: about a minute with the pauses between them. */
export const attempts = 6;
/** `Asker.patience`, by default. */
const patience = 60;
/** Bytes that may be on their way in the system's buffers when all is sent: at 50 kB/s they take 84 s more of 60. */
const buffered = 4 << 20;
const slowest = 50_000;

/** A URL as it may stand in a log: without user, password, query (signatures stand there) and fragment. */
export function shownUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

const storageFull = 507;
const passes = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || (status >= 500 && status !== storageFull);

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
  { field, secretRef, credentials, writes, wasLetIn }: Asker,
  url: string,
  { why, refused, code }: Refusal,
): TrainerError {
  // Keys of a session end, and the next pod reads the Secret as it is then.
  if (wasLetIn === true && ([401, 403].includes(refused.status) || code === 'ExpiredToken')) {
    const message = `${field}: ${shownUrl(url)} answered ${why}: it let the job in before: if the credentials have expired, renew the Secret of ${secretRef} (${credentials}) for the next pod`;
    return new TrainerError('SourceUnavailable', message);
  }
  const may = writes === true ? 'write' : 'read';
  const hints: Record<number, string> = {
    301: 'it is elsewhere: is AWS_REGION that of the bucket, and is the address right?',
    401: `set ${secretRef} to a Secret with ${credentials}`,
    403: `there are no credentials, or they may not ${may} it: ${secretRef} names a Secret with ${credentials}`,
    404: `it is not there, or only for whoever may ${may} it: check the name, and the secretRef`,
    416: 'it has changed while it was fetched',
    [storageFull]: 'its storage is full: free or enlarge it',
  };
  const otherwise = writes === true ? 'it cannot be written' : 'it cannot be read';
  const message = `${field}: ${shownUrl(url)} answered ${why}: ${hints[refused.status] ?? otherwise}`;
  return new TrainerError(refused.status === storageFull ? 'DiskFull' : 'InvalidConfiguration', message);
}

export function unavailable({ field, writes }: Asker, url: string, why: string): TrainerError {
  const done = writes === true ? 'written' : 'fetched';
  const message = `${field}: ${shownUrl(url)} could not be ${done} in ${attempts} attempts (${why})`;
  return new TrainerError('SourceUnavailable', message);
}

/** Says why nothing comes and that it goes on, then waits before attempt `number` + 1. */
export async function pauseBefore(asker: Asker, url: string, { number, why, refused }: Failed): Promise<void> {
  const seconds = secondsBefore(number, refused);
  const again = `trying again in ${seconds} s, attempt ${number + 1} of ${attempts}`;
  asker.tell(`${asker.field}: cannot ${asker.writes === true ? 'write' : 'read'} ${shownUrl(url)}: ${why}; ${again}`);
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
  touch: () => unknown;
}

/** Redirects that are followed. */
const hops = 10;
const redirects: readonly number[] = [301, 302, 303, 307, 308];
const credentialHeaders: readonly string[] = ['authorization', 'x-amz-security-token', 'cookie'];

/** Where an answer sends on to; undefined for any other. Throws InvalidConfiguration when that leaves encryption. */
function nextHop(from: string, { status, headers }: Response, ask: Ask, asker: Asker): string | undefined {
  // The others would make a GET of what is written.
  const followed = ask.method === undefined ? redirects : [307, 308];
  const location = followed.includes(status) ? headers.get('location') : null;
  if (location === null) return undefined;
  const to = new URL(location, from).href;
  if (!from.startsWith('https:') || to.startsWith('https:')) return to;
  const message = `${asker.field}: ${shownUrl(ask.url)} redirects to http, where anybody can change what is read`;
  throw new TrainerError('InvalidConfiguration', message);
}

type Watched = Pick<Sending, 'signal' | 'onPiece'>;

/** Follows redirects hop by hop: each is checked, and credentials go to no other origin, nor from there anywhere. */
async function follow(ask: Ask, asker: Asker, given: HeaderMap, { signal, onPiece }: Watched): Promise<Response> {
  let [url, headers] = [ask.url, await ask.headers(given)];
  for (let hop = 0; hop <= hops; hop++) {
    const { method = 'GET', body } = ask;
    const response =
      body === undefined
        ? await fetch(url, { method, headers, signal, redirect: 'manual' })
        : await send(url, { method, body, headers, signal, onPiece });
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

/** Throws to stop. */
export const heed = (asker: Asker): void => (asker.heed ?? asker.beat)();

/** Seconds of silence that end an attempt. What stalls while it is sent must not wait as long as all of it may take. */
function silenceOf({ body }: Ask, { patience: least = patience }: Asker): number {
  const unseen = body === undefined ? 0 : Math.min(sizeOf(body), buffered);
  return Math.round(least * (1 + unseen / slowest / patience) * 10) / 10;
}

/** Makes the request once. Throws what the wire throws, and InvalidConfiguration for redirects that are not followed. */
async function once(ask: Ask, asker: Asker, headers: HeaderMap): Promise<Answer> {
  const silence = new AbortController();
  const seconds = silenceOf(ask, asker);
  const timer = setTimeout(() => silence.abort(new Error(`no byte for ${seconds} s`)), seconds * 1000).unref();
  const touch = (): unknown => timer.refresh();
  let moved = false;
  const onPiece = (): void => {
    moved = true;
    touch();
  };
  const tick = (): void => {
    orAbort(silence, () => (moved ? asker.beat() : heed(asker)));
    moved = false;
  };
  // What is sent may take long: a stop must be noticed meanwhile, `attempt` throws it.
  const ticking = ask.body === undefined ? undefined : setInterval(tick, 500);
  try {
    const response = await follow(ask, asker, headers, { signal: silence.signal, onPiece });
    return { response, touch };
  } finally {
    clearInterval(ticking);
  }
}

function orAbort(silence: AbortController, act: () => void): void {
  try {
    act();
  } catch (stopped) {
    silence.abort(stopped);
  }
}

/** The server's own words: S3's Code and Message, the Hub's error. */
async function wordsOf(response: Response): Promise<{ code: string | undefined; words: string }> {
  const text = await response.text().catch(() => '');
  const found = /<Message>([^<]*)<|"error":\s*"((?:[^"\\]|\\.)*)"/.exec(text);
  const words = found?.[1] ?? found?.[2];
  const code = /<Code>([^<]*)</.exec(text)?.[1];
  return { code, words: words === undefined ? '' : ` (${words.slice(0, 200)})` };
}

/** The answer, or why there is none that can be used, with the answer that said so. */
async function attempt(ask: Ask, asker: Asker, headers: HeaderMap, also: number[]): Promise<Answer | Failure> {
  try {
    const answer = await once(ask, asker, headers);
    const { ok, status, statusText } = answer.response;
    if (ok || also.includes(status)) return answer;
    const { code, words } = await wordsOf(answer.response);
    return { why: `${status} ${statusText}`.trim() + words, code, refused: answer.response };
  } catch (error) {
    if (error instanceof TrainerError) throw error;
    heed(asker);
    return { why: wireError(error) };
  }
}
interface Failure {
  why: string;
  code?: string | undefined;
  refused?: Response;
}
interface Refusal extends Failure {
  refused: Response;
}

/**
 * The server's answer, with status 2xx or one of `also`; trouble that passes is waited for and tried again, but for `once`.
 * Throws InvalidConfiguration for an answer that would be the same again, SourceUnavailable when the attempts are used up.
 */
export async function request(
  ask: Ask,
  asker: Asker,
  { headers = {}, also = [], once: onlyOnce = false }: { headers?: HeaderMap; also?: number[]; once?: boolean } = {},
): Promise<Answer> {
  for (let number = 1; ; number++) {
    const result = await attempt(ask, asker, headers, also);
    if ('response' in result) return result;
    const { why, refused } = result;
    if (refused !== undefined && !passes(refused.status)) throw refusal(asker, ask.url, { ...result, refused });
    if (onlyOnce || number === attempts) throw unavailable(asker, ask.url, why);
    await pauseBefore(asker, ask.url, { number, ...result });
  }
}

/** The body as text, however long it takes while bytes come; `onPiece` hears of them. Throws what the wire throws, and `onPiece`. */
export async function readText({ response, touch }: Answer, onPiece: () => void = () => {}): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of response.body ?? []) {
    touch();
    onPiece();
    text += decoder.decode(piece as Uint8Array, { stream: true });
  }
  return text + decoder.decode();
}

/** The whole answer as text; a body that breaks off is asked for again. */
export async function getText(ask: Ask, asker: Asker): Promise<string> {
  for (let number = 1; ; number++) {
    const answer = await request(ask, asker);
    try {
      return await readText(answer);
    } catch (error) {
      heed(asker);
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
