import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { apiVersion, kind, type DPOJob } from '../../crds/dpojob.ts';
import { pathOf, resources } from '../../operator/cluster/resource.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { startWithCrd } from './kubectl.ts';

export interface Answer {
  status: number;
  message: string;
  /** As it would be stored. */
  object: unknown;
}

/** Asks an API server, as admin, whether it would create objects, and creates none. */
export class DryRun {
  readonly #plane: ControlPlane;
  readonly #agent: Agent;

  /** On a control plane of its own, with the CRD. */
  static async open(): Promise<DryRun> {
    return new DryRun(await startWithCrd());
  }

  private constructor(plane: ControlPlane) {
    const { folder } = plane;
    this.#plane = plane;
    this.#agent = new Agent({ connect: { ca: readFileSync(join(folder, 'ca.crt'), 'utf8') } });
  }

  async create(resource: keyof typeof resources, object: object): Promise<Answer> {
    const query = '?dryRun=All&fieldValidation=Strict';
    const response = await fetch(`${this.#plane.server}${pathOf(resources[resource], 'default')}${query}`, {
      method: 'POST',
      headers: { authorization: 'Bearer admin-token', 'content-type': 'application/json' },
      body: JSON.stringify(object),
      dispatcher: this.#agent,
    });
    const answer = (await response.json()) as { message?: string };
    return { status: response.status, message: answer.message ?? '', object: answer };
  }

  /** A DPOJob with this spec. */
  async apply(spec: unknown): Promise<Answer & { object: DPOJob }> {
    return (await this.create('dpojobs', { apiVersion, kind, metadata: { name: 'asked' }, spec })) as Answer & {
      object: DPOJob;
    };
  }

  async close(): Promise<void> {
    await this.#agent.close();
    this.#plane.stop();
  }
}
