import { createHash } from 'node:crypto';
import { AwsClient } from 'aws4fetch';
import { TrainerError } from '../errors.ts';
import type { SourceEnvironment } from './environment.ts';
import { getText, type Ask, type Asker } from './http.ts';
import { checkPath, isWanted, type Listing, type RemoteFile, type SourceType } from './listing.ts';

type S3 = SourceEnvironment['s3'];

/** URL of a bucket: below the endpoint's path where one is given, else AWS's own host of the bucket. */
export function bucketUrl(bucket: string, { endpoint, region }: S3): string {
  if (endpoint !== undefined) return `${endpoint}/${bucket}`;
  // The certificate for *.s3.REGION.amazonaws.com does not cover a name with dots.
  if (bucket.includes('.')) return `https://s3.${region}.amazonaws.com/${bucket}`;
  return `https://${bucket}.s3.${region}.amazonaws.com`;
}

/** Makes a request of a URL; by default it reads. */
export type Signer = (url: string, how?: Pick<Ask, 'method'> & { body?: string | Uint8Array<ArrayBuffer> }) => Ask;

/** Signs requests (Signature Version 4) where there are credentials; a public bucket needs none. What is sent is signed too. */
export function createSigner({ accessKeyId, secretAccessKey, sessionToken, region }: S3): Signer {
  if (accessKeyId === undefined || secretAccessKey === undefined) return (url) => ({ url, headers: (given) => given });
  const session = sessionToken === undefined ? {} : { sessionToken };
  const client = new AwsClient({ accessKeyId, secretAccessKey, ...session, region, service: 's3' });
  return (url, how = {}) => {
    const { method = 'GET', body } = how;
    const sent = body === undefined ? {} : { 'x-amz-content-sha256': createHash('sha256').update(body).digest('hex') };
    const headers: Ask['headers'] = async (given) =>
      Object.fromEntries((await client.sign(url, { method, headers: { ...given, ...sent } })).headers);
    return { url, ...how, headers };
  };
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const unescape = (text: string): string =>
  text.replaceAll(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, entity = '') => {
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
    return decimal === undefined ? (entities[entity] ?? whole) : String.fromCodePoint(Number(decimal));
  });

/** Text of the first element of that name: S3's answers are flat and without attributes. */
export function textOf(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text === undefined ? undefined : unescape(text);
}

interface Entry {
  key: string;
  size: number;
  etag: string;
}

/** Entries of an answer of ListObjectsV2, and the token with which the next one goes on. */
export function parseList(xml: string): { entries: Entry[]; next: string | undefined } {
  const entries = [...xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, entry = '']) => ({
    key: textOf(entry, 'Key') ?? '',
    size: Number(textOf(entry, 'Size')),
    etag: (textOf(entry, 'ETag') ?? '').replaceAll('"', ''),
  }));
  return { entries, next: textOf(xml, 'IsTruncated') === 'true' ? textOf(xml, 'NextContinuationToken') : undefined };
}

/** RFC 3986, as the signature wants it: encodeURIComponent leaves some characters that S3 encodes. */
export const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);

/** A key as a path of a URL. */
export const encodePath = (key: string): string => key.split('/').map(encode).join('/');

/** Lists what begins with a prefix; `more` is put into the query. */
export async function listAll(
  bucket: string,
  prefix: string,
  how: { sign: Signer; asker: Asker; more?: string },
): Promise<Entry[]> {
  const { sign, asker, more = '' } = how;
  const entries: Entry[] = [];
  let next: string | undefined;
  do {
    const from = next === undefined ? '' : `continuation-token=${encode(next)}&`;
    const list = parseList(await getText(sign(`${bucket}?${from}${more}list-type=2&prefix=${encode(prefix)}`), asker));
    entries.push(...list.entries);
    next = list.next;
    asker.beat();
  } while (next !== undefined);
  return entries;
}

/** `s3://bucket/key` as its parts; the key without a trailing slash. */
export function parseS3(source: string): { bucket: string; key: string } {
  const [bucket = '', ...rest] = source.slice('s3://'.length).split('/');
  return { bucket, key: rest.join('/').replace(/\/+$/, '') };
}

/** Lists what lies at `s3://bucket/key`: the object itself, or all below it as in a folder. */
export async function listS3(source: string, type: SourceType, asker: Asker, s3: S3): Promise<Listing> {
  const { bucket, key } = parseS3(source);
  const [url, sign] = [bucketUrl(bucket, s3), createSigner(s3)];
  const fileOf = ({ key: found, size, etag }: Entry): RemoteFile[] => {
    const isObject = found === key && type === 'dataset';
    const path = isObject ? (key.split('/').at(-1) as string) : found.slice(key.length + 1);
    if (!isObject && !(found.startsWith(`${key}/`) && isWanted[type](path))) return [];
    const ask = sign(`${url}/${encodePath(found)}`);
    return [{ path: checkPath(path, asker), ask, size, version: etag, etag: etag === '' ? undefined : `"${etag}"` }];
  };
  const files = (await listAll(url, key, { sign, asker })).flatMap(fileOf);
  if (files.length > 0) return { origin: url, what: source, files };
  throw new TrainerError('InvalidConfiguration', `${asker.field}: no file of a ${type} lies at ${source}`);
}
