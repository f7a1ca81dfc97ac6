import { openAsBlob } from 'node:fs';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import { request, type Ask } from '../sources/http.ts';
import type { HubApi } from './hub-api.ts';
import type { PushedFile, Pushing } from './target.ts';

/** Where they go. */
export interface Destination {
  hub: HubApi;
  repository: string;
  branch: string;
}

const lfsType = 'application/vnd.git-lfs+json';
const actionSchema = z.object({ href: z.string(), header: z.record(z.string(), z.unknown()).optional() });
type Action = z.infer<typeof actionSchema>;
const batchSchema = z.object({
  objects: z.array(
    z.object({
      oid: z.string(),
      error: z.object({ message: z.string() }).optional(),
      actions: z.object({ upload: actionSchema.optional(), verify: actionSchema.optional() }).optional(),
    }),
  ),
});

/**
 * Brings files to the Hub's large storage: git LFS's batch API, with the Hub's own "multipart" transfer as huggingface_hub's
 * lfs.py has it. A file that is there already, of this push or any other, is not sent again.
 */
export async function uploadLarge(
  files: readonly PushedFile[],
  { hub, repository, branch }: Destination,
  onBytes: Pushing['onBytes'],
): Promise<void> {
  if (files.length === 0) return;
  const asked = {
    operation: 'upload',
    transfers: ['basic', 'multipart'],
    hash_algo: 'sha256',
    ref: { name: branch },
    objects: files.map(({ sha256, size }) => ({ oid: sha256, size })),
  };
  const { objects } = await hub.json(
    hub.post(`/${repository}.git/info/lfs/objects/batch`, asked, lfsType),
    batchSchema,
  );
  for (const file of files) {
    const { error, actions } = objects.find(({ oid }) => oid === file.sha256) ?? {};
    if (error !== undefined) {
      const message = `${hub.asker.field}: the Hub does not take ${file.name}: ${error.message}`;
      throw new TrainerError('InvalidConfiguration', message);
    }
    if (actions?.upload === undefined) onBytes(file.size);
    else await upload(file, actions.upload, hub, onBytes);
    if (actions?.verify !== undefined) await verify(file, actions.verify, hub);
  }
}

/** A mirror hands on addresses of the Hub itself. */
const addressOf = ({ href }: Action, { endpoint }: HubApi): string =>
  href.replace(/^https:\/\/huggingface\.co(?=\/)/, endpoint);

async function upload(file: PushedFile, action: Action, hub: HubApi, onBytes: Pushing['onBytes']): Promise<void> {
  const blob = await openAsBlob(file.path);
  const urls = partsOf(file, action, hub);
  if (urls === undefined) {
    await put(addressOf(action, hub), blob, hub);
    return onBytes(file.size);
  }
  const partSize = Number(action.header?.['chunk_size']);
  const parts: { partNumber: number; etag: string }[] = [];
  for (const url of urls) {
    const part = blob.slice(parts.length * partSize, (parts.length + 1) * partSize);
    const etag = (await put(url, part, hub)) ?? '';
    if (etag === '') throw unlike(file, hub, `the storage told no ETag of part ${parts.length + 1}`);
    parts.push({ partNumber: parts.length + 1, etag });
    onBytes(part.size);
  }
  const complete: Ask = {
    url: addressOf(action, hub),
    method: 'POST',
    headers: (given) => ({ ...given, 'content-type': lfsType }),
    body: JSON.stringify({ oid: file.sha256, parts }),
  };
  await hub.send(complete);
}

/** Addresses of a file's parts in their order, or undefined where it goes in one piece. Throws SourceUnavailable for too few or many. */
function partsOf(file: PushedFile, { header = {} }: Action, hub: HubApi): string[] | undefined {
  const told = header['chunk_size'];
  if (told === undefined) return undefined;
  const numbers = Object.keys(header).filter((key) => /^\d+$/.test(key));
  // Otherwise that would be told only when all is sent.
  if (numbers.length !== Math.ceil(file.size / Number(told)))
    throw unlike(file, hub, `it asks for ${numbers.length} parts of ${Number(told)} bytes`);
  return numbers.sort((a, b) => Number(a) - Number(b)).map((number) => String(header[number]));
}

/** As huggingface_hub refuses an answer. All else is done by then: the next pod may be answered better. */
function unlike({ name, size }: PushedFile, { asker, endpoint }: HubApi, what: string): TrainerError {
  const message = `${asker.field}: ${endpoint} does not take ${name} (${size} bytes) as the Hub does: ${what}: is there a proxy that changes answers?`;
  return new TrainerError('SourceUnavailable', message);
}

/** The address lets in whoever has it: no token goes there. Answers the ETag. */
async function put(url: string, body: Blob, { asker }: HubApi): Promise<string | null> {
  const { response } = await request({ url, method: 'PUT', body, headers: (given) => given }, asker);
  await response.body?.cancel();
  return response.headers.get('etag');
}

async function verify({ sha256, size }: PushedFile, action: Action, hub: HubApi): Promise<void> {
  const url = addressOf(action, hub);
  if (!url.startsWith(`${hub.endpoint}/`)) return;
  await hub.send(hub.post(url.slice(hub.endpoint.length), { oid: sha256, size }));
}
