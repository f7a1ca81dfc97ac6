import { createServer, request as ask, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Between a client and the real S3 server: tells what was asked, and answers in its place where `fails` says so. */
export interface Proxy {
  endpoint: string;
  /** "PUT /bucket/key?query" of requests that the server answered. */
  asked: string[];
  /** The status to answer with, 0 to break the connection, or undefined. */
  fails: (asked: string) => number | undefined;
  /** Whether the server's answer is kept from the client. */
  loses: (asked: string) => boolean;
  stop: () => void;
}

export async function startProxy(target: string): Promise<Proxy> {
  const proxy: Proxy = { endpoint: '', asked: [], fails: () => undefined, loses: () => false, stop: () => {} };
  const server = createServer((request, response) => {
    const asked = `${request.method} ${request.url}`;
    const failure = proxy.fails(asked);
    if (failure === 0) return void request.socket.destroy();
    if (failure !== undefined) return void request.resume().on('end', () => response.writeHead(failure).end());
    // The signature covers the host that was asked, so the header is handed on as it is.
    const { method = 'GET', headers } = request;
    const onward = ask(`${target}${request.url}`, { method, headers }, (answer: IncomingMessage) => {
      proxy.asked.push(asked);
      if (proxy.loses(asked)) return void request.socket.destroy();
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => request.socket.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  proxy.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  proxy.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return proxy;
}
