import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../../cluster/control-plane.ts';

/** A request of the operator, as far as faults look at it. */
export interface Asked {
  isWatch: boolean;
  isWrite: boolean;
}

/** What the proxy does with a request. */
export type Fault =
  /** Refuses it; the API server never learns of it. */
  | { kind: 'refuse'; code: number; reason: string; retryAfter?: number }
  /** Answers a watch with the error that its version is too old. */
  | { kind: 'expire' }
  /** Half-open: no answer, and no end of the connection either. `reached`: yet the API server does what was asked. */
  | { kind: 'hang'; reached: boolean }
  /** Breaks the connection after so many bytes of the answer. */
  | { kind: 'cut'; bytes: number }
  /** Breaks the connection after some time. */
  | { kind: 'drop'; milliseconds: number }
  /** Each piece of the answer arrives so much later. */
  | { kind: 'late'; milliseconds: number };

/** Decides what becomes of a request. */
export type Spoil = (asked: Asked) => Fault | undefined;

/** Stands before a real API server, passes every request on, and spoils what it is told to. */
export class Proxy {
  readonly url: string;
  fault: Spoil = () => undefined;
  readonly #server: Server;
  readonly #plane: ControlPlane;
  readonly #agent: Agent;

  private constructor(server: Server, plane: ControlPlane) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    this.#plane = plane;
    this.#agent = new Agent({ keepAlive: true, ca: readFileSync(join(plane.folder, 'ca.crt')) });
    server.on('request', (incoming, outgoing) => this.#take(incoming, outgoing));
  }

  static async open(plane: ControlPlane): Promise<Proxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Proxy(server, plane);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
  }

  #take(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const isWatch = (incoming.url ?? '').includes('watch=true');
    const fault = this.fault({ isWatch, isWrite: incoming.method !== 'GET' });
    if (fault?.kind === 'refuse') refuse(outgoing, fault);
    else if (fault?.kind === 'expire')
      outgoing.end(`${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`);
    else if (fault?.kind !== 'hang' || fault.reached) this.#pass(incoming, outgoing, fault);
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): void {
    const { method, url, headers } = incoming;
    const upstream = request(`${this.#plane.server}${url}`, { method, headers, agent: this.#agent });
    upstream.on('response', (response) => void answer(response, outgoing, fault).catch(() => outgoing.destroy()));
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => upstream.destroy());
    incoming.pipe(upstream);
  }
}

const status = (code: number, reason: string): object => ({
  kind: 'Status',
  code,
  reason,
  message: `by the proxy: ${reason}`,
});

function refuse(outgoing: ServerResponse, { code, reason, retryAfter }: Extract<Fault, { kind: 'refuse' }>): void {
  const headers = retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) };
  outgoing.writeHead(code, headers).end(JSON.stringify(status(code, reason)));
}

async function answer(response: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): Promise<void> {
  if (fault?.kind === 'hang') return;
  response.on('error', () => outgoing.destroy());
  if (fault?.kind === 'drop') setTimeout(() => outgoing.destroy(), fault.milliseconds);
  outgoing.writeHead(response.statusCode ?? 500, response.headers);
  outgoing.flushHeaders();
  if (fault?.kind !== 'cut' && fault?.kind !== 'late') {
    response.pipe(outgoing);
    return;
  }
  await (fault.kind === 'cut' ? cut(response, outgoing, fault.bytes) : late(response, outgoing, fault.milliseconds));
}

async function cut(response: IncomingMessage, outgoing: ServerResponse, bytes: number): Promise<void> {
  let left = bytes;
  for await (const piece of response as AsyncIterable<Buffer>) {
    await new Promise((resolve) => outgoing.write(piece.subarray(0, left), resolve));
    left -= piece.length;
    if (left <= 0) break;
  }
  outgoing.destroy();
}

/** In their order, and each as much later as the first: not one after another. */
async function late(response: IncomingMessage, outgoing: ServerResponse, milliseconds: number): Promise<void> {
  let before = Promise.resolve();
  for await (const piece of response as AsyncIterable<Buffer>) {
    const due = sleep(milliseconds);
    before = Promise.all([before, due]).then(() => void outgoing.write(piece));
  }
  await before;
  outgoing.end();
}
