import { createServer, type Server, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { branchOf, digest, end, isLarge, newWrites, type HubServer, type Repository } from './hub-repositories.ts';
import { answerWrite, takeLarge } from './hub-writes.ts';

function describe({ commit, files, cardData }: Repository): object {
  const siblings = Object.entries(files).map(([rfilename, text]) => {
    const content = Buffer.from(text);
    const blobId = digest('sha1', `blob ${content.length}\0`, content);
    const lfs = { sha256: digest('sha256', content), size: content.length, pointerSize: 130 };
    return { rfilename, size: content.length, blobId, ...(isLarge(rfilename) ? { lfs } : {}) };
  });
  return { id: 'x', sha: commit, siblings, ...(cardData === undefined ? {} : { cardData }) };
}

function treeOf({ files }: Repository): object[] {
  return Object.entries(files).map(([path, text]) => {
    const content = Buffer.from(text);
    const oid = digest('sha1', `blob ${content.length}\0`, content);
    const lfs = { oid: digest('sha256', content), size: content.length, pointerSize: 130 };
    return { type: 'file', path, size: content.length, oid, ...(isLarge(path) ? { lfs } : {}) };
  });
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/**
 * A real HTTP server that answers the Hub's file API: listing by revision, files by commit or branch, large ones by redirect;
 * and what a push asks for (hub-writes.ts). test/e2e/pushed.test.ts lets huggingface_hub itself write to it and read from it.
 */
export async function startHub(repositories: Record<string, Repository>): Promise<HubServer> {
  const hub: HubServer = {
    endpoint: '',
    repositories,
    requests: [],
    largeFiles: '',
    leaked: [],
    writes: newWrites(),
    stop: () => {},
  };
  const cdn = createServer((request, response) => {
    if (request.headers.authorization !== undefined) hub.leaked.push(request.headers.authorization);
    if (request.method === 'PUT') void takeLarge(hub, request, response);
    else sendLarge(hub, (request.url ?? '').slice(1), request, response);
  });
  hub.largeFiles = await listen(cdn);
  const server = createServer((request, response) => answer(hub, request, response));
  hub.endpoint = await listen(server);
  hub.stop = () => {
    for (const each of [server, cdn]) {
      each.closeAllConnections();
      each.close();
    }
  };
  return hub;
}

const mayRead = ({ token }: Repository, { headers }: IncomingMessage): boolean =>
  token === undefined || headers.authorization === `Bearer ${token}`;

/** What a path asks for: the listing of a revision (a branch or a commit), its tree, or a file. */
function readPath(path: string): { kind: string; name: string; revision: string; file: string } {
  const [, listed, kind = '', of = ''] = /^\/api\/((?:models|datasets)\/.+)\/(revision|tree)\/(.+)$/.exec(path) ?? [];
  if (listed !== undefined) return { kind, name: listed, revision: of, file: '' };
  const [, data = 'models/', owned, revision = '', file = ''] =
    /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
  return { kind: 'file', name: `${data}${owned}`, revision, file };
}

function answer(hub: HubServer, request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
  hub.requests.push(path);
  if (answerWrite(hub, path, request, response)) return;
  const { kind, name, revision, file } = readPath(path);
  const main = hub.repositories[name];
  if (main === undefined || !mayRead(main, request)) return end(response, 401, 'Repository not found');
  const branches = Object.entries(hub.repositories).filter(([key]) => key.split('@')[0] === name);
  const found = branches.find(([key, { commit }]) => key === branchOf(name, revision) || commit === revision)?.[1];
  if (found === undefined) return end(response, 404);
  if (kind === 'file') return sendFile(hub, found, file, response);
  end(response, 200, JSON.stringify(kind === 'tree' ? treeOf(found) : describe(found)));
}

function sendFile(
  { largeFiles }: HubServer,
  { commit, files }: Repository,
  file: string,
  response: ServerResponse,
): void {
  const content = files[file];
  if (content === undefined) return end(response, 404);
  const bytes = Buffer.from(content);
  const etag = `"${isLarge(file) ? digest('sha256', bytes) : digest('sha1', `blob ${bytes.length}\0`, bytes)}"`;
  const told = { 'x-repo-commit': commit, etag, 'x-linked-etag': etag, 'x-linked-size': bytes.length };
  if (!isLarge(file)) return void response.writeHead(200, { ...told, 'content-length': bytes.length }).end(bytes);
  response.writeHead(302, { ...told, location: `${largeFiles}/${digest('sha256', bytes)}` }).end();
}

function sendLarge(hub: HubServer, sha256: string, request: IncomingMessage, response: ServerResponse): void {
  const all = Object.values(hub.repositories).flatMap(({ files }) => Object.values(files));
  const content = Buffer.from(all.find((each) => digest('sha256', Buffer.from(each)) === sha256) ?? '');
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': content.length - from });
  if (hub.breakAfter === undefined) return void response.end(content.subarray(from));
  const to = from + hub.breakAfter;
  hub.breakAfter = undefined;
  response.write(content.subarray(from, to), () => setTimeout(() => request.socket.destroy(), 50));
}
