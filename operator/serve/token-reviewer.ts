import { createHash } from 'node:crypto';
import type { Cluster } from '../cluster/cluster.ts';
import { resources } from '../cluster/resource.ts';

/** Whether a request may be answered: 401 without a token that the API server knows, 403 without the right. */
export type Admission = 200 | 401 | 403;

interface User {
  username?: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
}

/** For how long an answer of the API server holds, and how many are remembered. */
const seconds: Record<Admission, number> = { 200: 60, 401: 10, 403: 10 };
const remembered = 1000;
/** Longer than any token; a TokenReview of it would only burden the API server. */
const longestToken = 16_384;

/**
 * Asks the API server whose token a request brings, and whether that account may `get` the path, as controller-runtime's
 * filter does (TokenReview, then SubjectAccessReview of a non-resource URL).
 */
export class TokenReviewer {
  readonly #cluster: Pick<Cluster, 'create'>;
  readonly #clock: () => number;
  /** By path and the token's digest: the token itself is not kept. */
  readonly #known = new Map<string, { admission: Admission; until: number }>();

  /** The clock counts seconds and never goes back. */
  constructor(cluster: Pick<Cluster, 'create'>, clock: () => number = () => performance.now() / 1000) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  /** Rejects when the API server does not answer: then nobody is admitted. */
  async admits(authorization: string | undefined, path: string): Promise<Admission> {
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined || token.length > longestToken) return 401;
    const key = `${path} ${createHash('sha256').update(token).digest('base64')}`;
    const known = this.#known.get(key);
    if (known !== undefined && known.until > this.#clock()) return known.admission;
    const admission = await this.#ask(token, path);
    this.#remember(key, admission);
    return admission;
  }

  async #ask(token: string, path: string): Promise<Admission> {
    const user = await this.#userOf(token);
    if (user === undefined) return 401;
    const { username, uid, groups, extra } = user;
    const spec = { user: username, uid, groups, extra, nonResourceAttributes: { path, verb: 'get' } };
    const { allowed } = await this.#review<{ allowed?: boolean }>('accessReviews', 'SubjectAccessReview', spec);
    return allowed === true ? 200 : 403;
  }

  async #userOf(token: string): Promise<User | undefined> {
    const answer = await this.#review<{ authenticated?: boolean; user?: User }>('tokenReviews', 'TokenReview', {
      token,
    });
    return answer.authenticated === true ? (answer.user ?? {}) : undefined;
  }

  async #review<T>(name: 'tokenReviews' | 'accessReviews', kind: string, spec: object): Promise<T> {
    const resource = resources[name];
    const apiVersion = resource.root.slice('/apis/'.length);
    const made = await this.#cluster.create(resource, undefined, { apiVersion, kind, spec });
    return (made as unknown as { status: T }).status;
  }

  #remember(key: string, admission: Admission): void {
    this.#known.delete(key);
    this.#known.set(key, { admission, until: this.#clock() + seconds[admission] });
    const [oldest] = this.#known.keys();
    if (this.#known.size > remembered && oldest !== undefined) this.#known.delete(oldest);
  }
}
