import { createHash } from 'node:crypto';
import { createServer, type Server, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A repository of the stand-in for the Hub; `lfs` files are kept by their SHA-256 and redirected to. */
export interface Repository {
  commit: string;
  files: Record<string, string | Buffer>;
  cardData?: object;
  token?: string;
}

export interface HubServer {
  endpoint: string;
  /** By `api` path, as "models/org/name": replaced to move a branch. */
  repositories: Record<string, Repository>;
  requests: string[];
  /** Where large files are: another origin, as the Hub's, and the credentials that came there. */
  largeFiles: string;
  leaked: string[];
  /** Breaks the connection after so many bytes of the next large file. */
  breakAfter?: number | undefined;
  stop: () => void;
}

const isLarge = (name: string): boolean => /\.(?:safetensors|parquet)$/.test(name);
const digest = (algorithm: string, ...parts: (string | Buffer)[]): string => {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

function describe({ commit, files, cardData }: Repository): object {
  const siblings = Object.entries(files).map(([rfilename, text]) => {
    const content = Buffer.from(text);
    const blobId = digest('sha1', `blob ${content.length}\0`, content);
    const lfs = { sha256: digest('sha256', content), size: content.length, pointerSize: 130 };
    return { rfilename, size: content.length, blobId, ...(isLarge(rfilename) ? { lfs } : {}) };
  });
  return { id: 'x', sha: commit, siblings, ...(cardData === undefined ? {} : { cardData }) };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A real HTTP server that answers the Hub's file API: listing by revision, files by commit, large ones by redirect. */
export async function startHub(repositories: Record<string, Repository>): Promise<HubServer> {
  const hub: HubServer = { endpoint: '', repositories, requests: [], largeFiles: '', leaked: [], stop: () => {} };
  const cdn = createServer((request, response) => {
    if (request.headers.authorization !== undefined) hub.leaked.push(request.headers.authorization);
    sendLarge(hub, (request.url ?? '').slice(1), request, response);
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

const end = (response: ServerResponse, status: number, body: string | Buffer = ''): void =>
  void response.writeHead(status).end(body);

const mayRead = ({ token }: Repository, { headers }: IncomingMessage): boolean =>
  token === undefined || headers.authorization === `Bearer ${token}`;

/** Which listing or file a path asks for, and of which repository. */
function readPath(path: string): {
  name: string;
  revision?: string | undefined;
  commit?: string | undefined;
  file: string;
} {
  const [, listed, revision] = /^\/api\/((?:models|datasets)\/.+)\/revision\/(.+)$/.exec(path) ?? [];
  if (listed !== undefined) return { name: listed, revision, file: '' };
  const [, data = 'models/', owned, commit, file = ''] =
    /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([0-9a-f]{40})\/(.+)$/.exec(path) ?? [];
  return { name: `${data}${owned}`, commit, file };
}

function answer(hub: HubServer, request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
  hub.requests.push(path);
  const { name, revision, commit, file } = readPath(path);
  const repository = hub.repositories[name];
  if (repository === undefined || !mayRead(repository, request)) return end(response, 401, 'Repository not found');
  if (revision === undefined) return sendFile(hub, repository, { commit, file }, response);
  const known = revision === 'main' || revision === repository.commit;
  end(response, known ? 200 : 404, JSON.stringify(describe(repository)));
}

function sendFile(
  { largeFiles }: HubServer,
  { commit, files }: Repository,
  asked: { commit: string | undefined; file: string },
  response: ServerResponse,
): void {
  const { file } = asked;
  const content = asked.commit === commit ? files[file] : undefined;
  if (content === undefined) return end(response, 404);
  if (!isLarge(file)) return end(response, 200, content);
  response.writeHead(302, { location: `${largeFiles}/${digest('sha256', Buffer.from(content))}` }).end();
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
