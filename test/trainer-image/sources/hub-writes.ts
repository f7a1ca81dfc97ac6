import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { branchOf, digest, end, isLarge, type HubServer, type Repository } from './hub-repositories.ts';

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

const json = (response: ServerResponse, status: number, body: object): void =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

interface Asked {
  hub: HubServer;
  /** Groups of the route's pattern. */
  part: (name: string) => string;
  body: Buffer;
  response: ServerResponse;
}

const newCommit = (): string => randomBytes(20).toString('hex');

function createRepository({ hub, body, response }: Asked): void {
  const { name, organization, visibility } = JSON.parse(String(body)) as Record<string, string>;
  if (organization !== hub.writes.organization) {
    const error = `You don't have the rights to create a model under the namespace "${organization}"`;
    return json(response, 403, { error });
  }
  const key = `models/${organization}/${name}`;
  if (hub.repositories[key] !== undefined) return json(response, 409, { error: 'You already created this model repo' });
  hub.repositories[key] = { commit: newCommit(), files: { '.gitattributes': '*.safetensors filter=lfs\n' } };
  hub.writes.visibility[key] = visibility;
  json(response, 200, { url: `${hub.endpoint}/${organization}/${name}`, id: `${organization}/${name}` });
}

function createBranch({ hub, part, response }: Asked): void {
  const name = `models/${part('name')}`;
  const [main, key] = [hub.repositories[name] as Repository, branchOf(name, part('branch'))];
  if (hub.repositories[key] !== undefined) return json(response, 409, { error: 'Reference already exists' });
  hub.repositories[key] = { ...main, files: { ...main.files } };
  json(response, 200, {});
}

function preupload({ hub, body, response }: Asked): void {
  const { files } = JSON.parse(String(body)) as { files: { path: string; size: number; sample: string }[] };
  const told = files.map(({ path }) => ({
    path,
    uploadMode: isLarge(path) ? 'lfs' : 'regular',
    shouldIgnore: false,
    oid: null,
  }));
  hub.writes.meanwhile?.();
  hub.writes.meanwhile = undefined;
  json(response, 200, { files: told });
}

function batch({ hub, part, body, response }: Asked): void {
  const { endpoint, largeFiles, writes } = hub;
  const { objects, transfers } = JSON.parse(String(body)) as {
    objects: { oid: string; size: number }[];
    transfers: string[];
  };
  const told = objects.map(({ oid, size }) => {
    if (writes.large.has(oid)) return { oid, size };
    const at = `${largeFiles}/upload/${oid}`;
    const verify = { href: `${endpoint}/${part('name')}.git/info/lfs/objects/verify` };
    if (size <= writes.partSize) return { oid, size, actions: { upload: { href: at }, verify } };
    const count = Math.ceil(size / writes.partSize);
    const parts = Array.from({ length: count }, (_, i) => [String(i + 1).padStart(5, '0'), `${at}?part=${i + 1}`]);
    const header = { chunk_size: String(writes.partSize), ...(Object.fromEntries(parts) as object), ...writes.told };
    return { oid, size, actions: { upload: { href: `${endpoint}/complete/${oid}`, header }, verify } };
  });
  json(response, transfers.includes('multipart') ? 200 : 400, { transfer: 'multipart', objects: told });
}

/** Puts the parts together and keeps them when they are what their name says. */
function complete({ hub: { writes }, part, body, response }: Asked): void {
  const { oid, parts } = JSON.parse(String(body)) as { oid: string; parts: { partNumber: number; etag: string }[] };
  const found = parts.map(({ partNumber }) => writes.parts.get(`${oid} ${partNumber}`));
  const right = parts.every(({ etag }, i) => etag === `"${digest('md5', found[i] ?? '')}"`);
  const whole = Buffer.concat(found.filter((each) => each !== undefined));
  if (!right || oid !== part('oid') || digest('sha256', whole) !== oid) return end(response, 400);
  writes.large.set(oid, whole);
  json(response, 200, {});
}

function verify({ hub, body, response }: Asked): void {
  const { oid, size } = JSON.parse(String(body)) as { oid: string; size: number };
  json(response, hub.writes.large.get(oid)?.length === size ? 200 : 404, {});
}

interface Operation {
  key: string;
  value: {
    path: string;
    content: string;
    encoding: string;
    oid: string;
    size: number;
    summary: string;
    parentCommit: string;
  };
}

/** Answers the digest of a large file that was never sent. */
function change(files: Repository['files'], operations: Operation[], sent: Map<string, Buffer>): string | undefined {
  for (const { key: kind, value } of operations) {
    const large = sent.get(value.oid);
    if (kind === 'lfsFile' && large?.length !== value.size) return value.oid;
    if (kind === 'deletedFile') delete files[value.path];
    else files[value.path] = kind === 'lfsFile' ? (large as Buffer) : Buffer.from(value.content, 'base64');
  }
  return undefined;
}

function commit({ hub, part, body, response }: Asked): void {
  const key = branchOf(`models/${part('name')}`, part('branch'));
  const before = hub.repositories[key] as Repository;
  const files = { ...before.files };
  const [header, ...operations] = String(body)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Operation);
  if (header?.key !== 'header' || header.value.summary === '') return json(response, 400, { error: 'no header' });
  if (![undefined, before.commit].includes(header.value.parentCommit))
    return json(response, 412, { error: 'A commit has happened since. Please refresh and try again.' });
  const missing = change(files, operations, hub.writes.large);
  if (missing !== undefined) return json(response, 400, { error: `no ${missing}` });
  const oid = newCommit();
  hub.repositories[key] = { ...before, commit: oid, files };
  const paths = operations.map(({ value }) => value.path);
  hub.writes.commits.push({ repository: key, summary: header.value.summary, paths });
  if (hub.writes.losesAnswer) {
    hub.writes.losesAnswer = false;
    return void response.socket?.destroy();
  }
  json(response, 200, {
    success: true,
    commitOid: oid,
    commitUrl: `${hub.endpoint}/${part('name')}/commit/${oid}`,
    hookOutput: '',
  });
}

const repository = '(?<name>[^/]+/[^/]+)';
const routes: [method: string, path: RegExp, answer: (asked: Asked) => void][] = [
  ['POST', /^\/api\/repos\/create$/, createRepository],
  ['GET', new RegExp(`^/api/models/${repository}/auth-check/write$`), ({ response }) => json(response, 200, {})],
  ['POST', new RegExp(`^/api/models/${repository}/branch/(?<branch>.+)$`), createBranch],
  ['POST', new RegExp(`^/api/models/${repository}/preupload/(?<branch>.+)$`), preupload],
  ['POST', new RegExp(`^/${repository}[.]git/info/lfs/objects/batch$`), batch],
  ['POST', new RegExp(`^/${repository}[.]git/info/lfs/objects/verify$`), verify],
  ['POST', /^\/complete\/(?<oid>[0-9a-f]{64})$/, complete],
  ['POST', new RegExp(`^/api/models/${repository}/commit/(?<branch>.+)$`), commit],
];

/** Whether the request was one of a push; then it is answered. */
export function answerWrite(hub: HubServer, path: string, request: IncomingMessage, response: ServerResponse): boolean {
  for (const [method, pattern, answer] of routes) {
    const groups = request.method === method ? pattern.exec(path) : null;
    if (groups === null) continue;
    void bodyOf(request).then((body) => {
      const part = (name: string): string => groups.groups?.[name] ?? '';
      const mayWrite = request.headers.authorization === `Bearer ${hub.writes.token}`;
      const known = part('name') === '' || hub.repositories[`models/${part('name')}`] !== undefined;
      // The address of the parts' end lets in whoever has it.
      if (!mayWrite && part('oid') === '') return json(response, 401, { error: 'Invalid username or password.' });
      return known ? answer({ hub, part, body, response }) : json(response, 404, { error: 'Repository not found' });
    });
    return true;
  }
  return false;
}

/** Takes a large file, or a part of one, at its address. */
export async function takeLarge(
  { writes }: HubServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [, oid = '', , number] = /^\/upload\/([0-9a-f]{64})(\?part=(\d+))?$/.exec(request.url ?? '') ?? [];
  const failure = writes.failures.shift();
  if (failure === 0) return void request.socket.destroy();
  const body = await bodyOf(request);
  if (failure !== undefined) return end(response, failure);
  writes.sent.push(`${oid.slice(0, 4)} ${number ?? 'whole'}`);
  if (number !== undefined) writes.parts.set(`${oid} ${number}`, body);
  else if (digest('sha256', body) === oid) writes.large.set(oid, body);
  response.writeHead(200, { etag: writes.etag ?? `"${digest('md5', body)}"` }).end();
}
