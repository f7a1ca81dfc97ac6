import { HttpMethod, RequestContext, type KubeConfig } from '@kubernetes/client-node';
import { fetch, type Response } from 'undici';
import { manager } from '../../crds/labels.ts';
import type { Change, Cluster, Page, Selection, Stored } from './cluster.ts';
import { apiError, isNotFound } from './errors.ts';
import { lines } from './lines.ts';
import { pathOf, type Resource } from './resource.ts';

/** Milliseconds after which a request is given up, and a watch in which nothing comes. */
export interface Patience {
  readonly request: number;
  readonly silence: number;
}
/** The API server sends a bookmark about every minute: silence for longer means a dead connection. */
const usual: Patience = { request: 30_000, silence: 100_000 };

interface Call {
  method: keyof typeof HttpMethod;
  path: string;
  query?: Record<string, string | undefined>;
  body?: object;
  contentType?: string;
  signal?: AbortSignal | undefined;
}

/** Told of every request, for metrics: status 0 when there was no answer. */
export type RequestObserver = (method: string, status: number, seconds: number) => void;

const withoutUndefined = (query: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined));

/** Characters that JSON has as they are and YAML forbids, or folds as line ends. */
const notYaml = /[\u007F-\u009F\u2028\u2029\uFEFF\uFFFE\uFFFF]/g;

/** JSON that is YAML too, as which the API server reads what is applied: the words of pods are in it. */
function bodyText(body: object): string {
  const json = JSON.stringify(body, (_key, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed() : value,
  );
  return json.replaceAll(notYaml, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A Cluster over HTTP. client-node gives address, credentials and TLS; objects stay the API's own JSON. */
export class RestCluster implements Cluster {
  readonly #config: KubeConfig;
  readonly #observe: RequestObserver;
  readonly #patience: Patience;

  constructor(config: KubeConfig, observe: RequestObserver = () => undefined, patience = usual) {
    this.#config = config;
    this.#observe = observe;
    this.#patience = patience;
  }

  async list(
    resource: Resource,
    { namespace, labelSelector, fieldSelector }: Selection,
    page: Parameters<Cluster['list']>[2],
    signal?: AbortSignal,
  ): Promise<Page> {
    const query = { labelSelector, fieldSelector, limit: String(page.limit), continue: page.continue };
    const answer = await this.#json<{ items: Stored[]; metadata: { resourceVersion: string; continue?: string } }>({
      method: 'GET',
      path: pathOf(resource, namespace),
      query,
      signal,
    });
    const { resourceVersion, continue: next } = answer.metadata;
    return { items: answer.items, resourceVersion, ...(next ? { continue: next } : {}) };
  }

  async *watch(
    resource: Resource,
    { namespace, labelSelector }: Selection,
    resourceVersion: string,
    signal: AbortSignal,
  ): AsyncGenerator<Change, void> {
    const silence = new AbortController();
    const end = (): void => silence.abort(new Error(`watch of ${resource.plural}: nothing came for too long`));
    const timer = setTimeout(end, this.#patience.silence);
    try {
      const response = await this.#send({
        method: 'GET',
        path: pathOf(resource, namespace),
        // Between 5 and 10 minutes, as client-go: watches of many clients do not end together.
        query: {
          watch: 'true',
          allowWatchBookmarks: 'true',
          labelSelector,
          resourceVersion,
          timeoutSeconds: String(300 + Math.floor(Math.random() * 300)),
        },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      for await (const line of lines(response.body as AsyncIterable<Uint8Array>, () => timer.refresh())) {
        const change = JSON.parse(line) as Change | { type: 'ERROR'; object: { code: number } };
        if (change.type === 'ERROR') throw apiError(change.object.code, JSON.stringify(change.object));
        yield change;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async get(resource: Resource, namespace: string, name: string, signal?: AbortSignal): Promise<Stored | undefined> {
    try {
      return await this.#json<Stored>({ method: 'GET', path: pathOf(resource, namespace, name), signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  create(resource: Resource, namespace: string | undefined, object: object, signal?: AbortSignal): Promise<Stored> {
    return this.#json({ method: 'POST', path: pathOf(resource, namespace), body: object, signal });
  }

  replace(resource: Resource, object: Stored, signal?: AbortSignal): Promise<Stored> {
    const { namespace, name } = object.metadata;
    return this.#json({ method: 'PUT', path: pathOf(resource, namespace, name), body: object, signal });
  }

  applyStatus(resource: Resource, object: Stored): Promise<Stored> {
    const { namespace, name } = object.metadata;
    return this.#json({
      method: 'PATCH',
      path: pathOf(resource, namespace, name, 'status'),
      query: { fieldManager: manager, force: 'true' },
      body: object,
      contentType: 'application/apply-patch+yaml',
    });
  }

  mergePatch(resource: Resource, namespace: string, name: string, patch: object): Promise<Stored> {
    const path = pathOf(resource, namespace, name);
    return this.#json({ method: 'PATCH', path, body: patch, contentType: 'application/merge-patch+json' });
  }

  async delete(resource: Resource, namespace: string, name: string, uid: string): Promise<Stored | undefined> {
    const body = { propagationPolicy: 'Foreground', preconditions: { uid } };
    try {
      const path = pathOf(resource, namespace, name);
      const left = await this.#json<Stored & { kind?: string }>({ method: 'DELETE', path, body });
      // A Status, not the object, when it is gone already.
      return left.kind === 'Status' ? undefined : left;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #json<T>(call: Call): Promise<T> {
    const signals = [AbortSignal.timeout(this.#patience.request), ...(call.signal === undefined ? [] : [call.signal])];
    const response = await this.#send({ ...call, signal: AbortSignal.any(signals) });
    return (await response.json()) as T;
  }

  /** Sends with the credentials of now. Rejects with ApiError when the status is not 2xx. */
  async #send({ method, path, query = {}, body, contentType = 'application/json', signal }: Call): Promise<Response> {
    const { server = '' } = this.#config.getCurrentCluster() ?? {};
    const search = new URLSearchParams(withoutUndefined(query)).toString();
    const url = `${server.replace(/\/$/, '')}${path}${search === '' ? '' : `?${search}`}`;
    const context = new RequestContext(url, HttpMethod[method]);
    await this.#config.applySecurityAuthentication(context);
    const dispatcher = context.getDispatcher();
    const started = performance.now();
    const observed = (status: number): void => this.#observe(method, status, (performance.now() - started) / 1000);
    const response = await fetch(url, {
      method,
      headers: { ...context.getHeaders(), 'User-Agent': manager, ...(body ? { 'Content-Type': contentType } : {}) },
      ...(body === undefined ? {} : { body: bodyText(body) }),
      ...(dispatcher === undefined ? {} : { dispatcher }),
      ...(signal === undefined ? {} : { signal }),
    }).catch((error: unknown) => {
      observed(0);
      throw error;
    });
    observed(response.status);
    if (!response.ok) throw apiError(response.status, await response.text(), response.headers.get('retry-after'));
    return response;
  }
}
