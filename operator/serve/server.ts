import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { readCertificate, renewing } from './certificate.ts';
import type { Admission } from './token-reviewer.ts';

/** What a path answers: status, body and content type. */
export type Routes = Record<string, () => Promise<{ status: number; body: string | Buffer; type?: string }>>;

export interface Listening {
  port: number;
  close(): Promise<void>;
}

export interface Protection {
  /** Folder of the certificate: HTTPS, taken up anew when it is renewed. Absent: HTTP. */
  certificate?: string | undefined;
  /** Whether a request with this Authorization header may have the path. Absent: anyone may. */
  admits?: ((authorization: string | undefined, path: string) => Promise<Admission>) | undefined;
  warn?: (message: string) => void;
}

const refusals: Record<Exclude<Admission, 200>, string> = { 401: 'a token is needed\n', 403: 'not allowed\n' };

/** Serves GET on fixed paths. */
export async function serve(port: number, routes: Routes, protection: Protection = {}): Promise<Listening> {
  const { server, stop } = open(protection, (request, response) => {
    respond(request, response, { routes, protection }).catch((error: unknown) => {
      protection.warn?.(`${request.url?.split('?')[0]?.slice(0, 64)}: ${(error as Error).message}`);
      if (!response.headersSent) response.writeHead(500).end('it failed: see the log\n');
    });
  });
  await listen(server, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        stop();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

function open({ certificate, warn = () => {} }: Protection, handler: Handler): { server: Server; stop: () => void } {
  if (certificate === undefined) return { server: createServer(handler), stop: () => {} };
  const server: SecureServer = createSecureServer({ ...readCertificate(certificate), minVersion: 'TLSv1.2' }, handler);
  return { server, stop: renewing(certificate, (renewed) => server.setSecureContext(renewed), warn) };
}

async function respond(
  { url = '', method, headers }: IncomingMessage,
  response: ServerResponse,
  { routes, protection }: { routes: Routes; protection: Protection },
): Promise<void> {
  const path = url.split('?')[0] ?? '';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined || method !== 'GET') {
    response.writeHead(404).end('not found\n');
    return;
  }
  const admission = (await protection.admits?.(headers.authorization, path)) ?? 200;
  if (admission !== 200) {
    response.writeHead(admission).end(refusals[admission]);
    return;
  }
  const { status, body, type = 'text/plain' } = await route();
  response.writeHead(status, { 'Content-Type': type }).end(body);
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => resolve());
  });
}
