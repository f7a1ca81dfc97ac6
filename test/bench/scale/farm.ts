import { createServer, type Server } from 'node:http';
import { trainerPort } from '../../../crds/run-config.ts';
import { progressOf } from '../../integration/workplace.ts';

/**
 * The progress endpoints of thousands of trainers in one server: each has an address of loopback, and which one is asked
 * is told by the socket. Every answer has a step more than the one before.
 */
export class Farm {
  readonly #uids = new Map<string, string>();
  readonly #steps = new Map<string, number>();
  readonly #server: Server;
  /** Answers so far. */
  answered = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      const address = request.socket.localAddress ?? '';
      const uid = this.#uids.get(address);
      if (uid === undefined) return void response.writeHead(404).end();
      const step = (this.#steps.get(uid) ?? 0) + 1;
      this.#steps.set(uid, step);
      this.answered += 1;
      const pod = { metadata: { name: address, uid } };
      response.end(JSON.stringify(progressOf(pod, { heartbeat: step, step, totalSteps: 100_000, percent: 1 })));
    });
  }

  static async open(): Promise<Farm> {
    const farm = new Farm();
    await new Promise<void>((resolve) => farm.#server.listen(trainerPort, '0.0.0.0', resolve));
    return farm;
  }

  /** A pod has this address. */
  know(address: string, uid: string): void {
    this.#uids.set(address, uid);
  }

  /** A pod is gone; its address may be another's by now. */
  forget(uid: string): void {
    this.#steps.delete(uid);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
