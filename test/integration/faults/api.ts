import type { DPOJob } from '../../../crds/dpojob.ts';

const types = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

/** What the test itself asks of the API server, as admin, through a proxy without faults. */
export class Api {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  create(path: string, object: object): Promise<object> {
    return this.#send('POST', path, object, 'application/json');
  }
  patch(path: string, patch: object, type: keyof typeof types = 'merge'): Promise<object> {
    return this.#send('PATCH', path, patch, types[type]);
  }
  /** Without waiting for what belongs to it, as kubectl does. */
  delete(path: string): Promise<object> {
    return this.#send('DELETE', path, { propagationPolicy: 'Background' }, 'application/json');
  }
  get(path: string): Promise<object> {
    return this.#send('GET', path);
  }

  async #send(method: string, path: string, body?: object, type = ''): Promise<object> {
    const headers = { Authorization: 'Bearer admin-token', ...(body && { 'Content-Type': type }) };
    const response = await fetch(this.#url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    const answer = (await response.json()) as { message?: string };
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer.message}`);
    return answer;
  }
}

export const paths = (namespace: string) => ({
  dpojob: (name = ''): string => `/apis/training.dpo-operator.io/v1alpha1/namespaces/${namespace}/dpojobs/${name}`,
  job: (name = ''): string => `/apis/batch/v1/namespaces/${namespace}/jobs/${name}`,
  core: (kind: string, name = ''): string => `/api/v1/namespaces/${namespace}/${kind}/${name}`,
});

export type Spec = Partial<DPOJob['spec']>;
