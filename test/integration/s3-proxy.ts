import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Between a client and the real S3 server: tells what was asked, and answers in its place where `fails` says so. */
export interface Proxy {
  endpoint: string;
  /** "PUT /bucket/key?query" of requests that the server answered. */
  asked: string[];
  /** Done before a request is handed on. */
  asks: (asked: string) => Promise<void>;
  /** The status to answer with (200 breaks off in its body), 0 to break the connection, or undefined. */
  fails: (asked: string) => number | undefined;
  /** The body that goes with `fails`. */
  says: string;
  /** What befalls the server's answer: it is lost, its body breaks off, or comes after seconds of white space. */
  mistreats: (asked: string) => 'lost' | 'cut' | 'late' | undefined;
  stop: () => void;
}

const cut = (response: ServerResponse): void => void response.write(' ', () => response.socket?.destroy());

/** As S3 does while it puts an object together: something comes, and nothing is said. */
async function handLate(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  for (let i = 0; i < lateSeconds * 4; i++) {
    response.write(' ');
    await sleep(250);
  }
  answer.pipe(response);
}
export const lateSeconds = 4;

export async function startProxy(target: string): Promise<Proxy> {
  const proxy: Proxy = {
    endpoint: '',
    asked: [],
    asks: async () => {},
    fails: () => undefined,
    says: '',
    mistreats: () => undefined,
    stop: () => {},
  };
  const server = createServer((request, response) => {
    const asked = `${request.method} ${request.url}`;
    const failure = proxy.fails(asked);
    if (failure === 0) return void request.socket.destroy();
    if (failure === 200) return void request.resume().on('end', () => cut(response));
    if (failure !== undefined)
      return void request.resume().on('end', () => response.writeHead(failure).end(proxy.says));
    // The signature covers the host that was asked, so the header is handed on as it is.
    const { method = 'GET', headers } = request;
    const onward = ask(`${target}${request.url}`, { method, headers }, (answer: IncomingMessage) => {
      proxy.asked.push(asked);
      const befalls = proxy.mistreats(asked);
      if (befalls === 'lost') return void request.socket.destroy();
      if (befalls === 'cut') return cut(response);
      if (befalls === 'late') return void handLate(answer, response);
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => request.socket.destroy());
    void proxy.asks(asked).then(() => request.pipe(onward));
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  proxy.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  proxy.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return proxy;
}
