import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a path answers: status, body and content type. */
export type Routes = Record<string, () => Promise<{ status: number; body: string; type?: string }>>;

export interface Listening {
  port: number;
  close(): Promise<void>;
}

/** Serves GET on fixed paths over HTTP. */
export async function serve(port: number, routes: Routes): Promise<Listening> {
  const server = createServer((request, response) => {
    const route = routes[(request.url ?? '').split('?')[0] ?? ''];
    if (route === undefined || request.method !== 'GET') {
      response.writeHead(404).end('not found\n');
      return;
    }
    route().then(
      ({ status, body, type = 'text/plain' }) => response.writeHead(status, { 'Content-Type': type }).end(body),
      (error: unknown) => response.writeHead(500).end(`${(error as Error).message}\n`),
    );
  });
  await listen(server, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => resolve());
  });
}
