import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import { adapterFiles } from '../model/weights.ts';
import type { SourceEnvironment } from './environment.ts';
import { request, getJson, shownUrl, type Ask, type Asker } from './http.ts';
import { checkPath, type Listing, type RemoteFile, type SourceType } from './listing.ts';

/** Files of a model's folder, by name: a plain web server cannot be asked what there is. */
const required = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
const optional = ['special_tokens_map.json', 'added_tokens.json', 'chat_template.jinja', 'generation_config.json'];
/** There is none: a bucket that does not let its objects be listed says "forbidden" of one that is not there. */
const absent = [403, 404];
const indexName = 'model.safetensors.index.json';
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** SHA-256 of the whole content that a server may tell (RFC 9530), in hexadecimal. */
function toldDigest(headers: Headers): string | undefined {
  const base64 = /sha-256=:(?<digest>[A-Za-z0-9+/=]+):/.exec(headers.get('repr-digest') ?? '')?.groups?.['digest'];
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64').toString('hex');
}

function sizeOf({ headers, status }: Response): number | undefined {
  const text = status === 200 ? headers.get('content-length') : headers.get('content-range')?.split('/')[1];
  return text === undefined || text === null || text === '*' ? undefined : Number(text);
}

/** Asks for the first byte only, which works where HEAD does not, as with signed URLs. Undefined: status is in `also`. */
async function probe(path: string, ask: Ask, asker: Asker, also: number[] = []): Promise<RemoteFile | undefined> {
  const { response } = await request(ask, asker, { headers: { range: 'bytes=0-0' }, also });
  await response.body?.cancel();
  if (also.includes(response.status)) return undefined;
  const { headers } = response;
  // Without either, what was fetched for another job says nothing about what is there now.
  const version = headers.get('etag') ?? headers.get('last-modified') ?? `unversioned, for ${asker.job}`;
  return {
    path,
    ask,
    size: sizeOf(response),
    version,
    etag: headers.get('etag') ?? undefined,
    sha256: toldDigest(headers),
  };
}

/** The files of weights that an index names. */
async function indexed(index: RemoteFile, asker: Asker): Promise<string[]> {
  const parsed = indexSchema.safeParse(await getJson(index.ask, asker));
  if (parsed.success) return [...new Set(Object.values(parsed.data.weight_map))];
  throw new TrainerError('InvalidConfiguration', `${asker.field}: ${shownUrl(index.ask.url)} has no weight_map`);
}

function lastPart(pathname: string, { field }: Asker): string {
  try {
    return decodeURIComponent(pathname.split('/').at(-1) ?? '');
  } catch (error) {
    const message = `${field}: the path ends with a "%" that stands for no character: write it as %25`;
    throw new TrainerError('InvalidConfiguration', message, { cause: error });
  }
}

/** Lists `https://host/path`: a data file, or a model's or adapter's folder by the names that such a folder has. */
export async function listHttps(
  source: string,
  type: SourceType,
  asker: Asker,
  { bearerToken }: Pick<SourceEnvironment, 'bearerToken'>,
): Promise<Listing> {
  const authorization = bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` };
  // A server that compresses on the way would tell another size; with a range, fetch says so itself.
  const plain = { 'accept-encoding': 'identity' };
  const headers: Ask['headers'] = (given) => ({ ...('range' in given ? given : plain), ...authorization });
  const { origin, pathname, search } = new URL(source);
  const folder = `${origin}${pathname.replace(/\/+$/, '')}`;
  const find = (name: string, also?: number[]): Promise<RemoteFile | undefined> =>
    probe(checkPath(name, asker), { url: `${folder}/${name}${search}`, headers }, asker, also);
  const files: (RemoteFile | undefined)[] = [];
  if (type === 'dataset') {
    const name = lastPart(pathname, asker) || 'data.jsonl';
    files.push(await probe(checkPath(name, asker), { url: source, headers }, asker));
  } else if (type === 'adapter') {
    for (const name of Object.values(adapterFiles)) files.push(await find(name));
  } else {
    const index = await find(indexName, absent);
    const weights = index === undefined ? ['model.safetensors'] : await indexed(index, asker);
    for (const name of [...required, ...weights]) files.push(await find(name));
    for (const name of optional) files.push(await find(name, absent));
    files.push(index);
  }
  return { origin: `${folder}${search}`, what: shownUrl(source), files: files.filter((file) => file !== undefined) };
}
