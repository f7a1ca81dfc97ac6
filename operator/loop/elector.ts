import type { Cluster, Stored } from '../cluster/cluster.ts';
import { isAlreadyExists, isConflict } from '../cluster/errors.ts';
import { resources } from '../cluster/resource.ts';
import { pause } from './backoff.ts';

interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}
type Lease = Stored & { spec: LeaseSpec };

/** client-go's: how long a lease holds that is not renewed. */
export const usualLeaseSeconds = 15;

export interface ElectorOptions {
  cluster: Cluster;
  namespace: string;
  name: string;
  /** Unique among the candidates. */
  identity: string;
  warn: (message: string) => void;
  /** The lease is taken over when it was not renewed for so long. client-go's defaults: `usualLeaseSeconds`, 10 and 2 seconds. */
  leaseSeconds?: number;
  /** The leader gives up when it could not renew for so long: less than leaseSeconds, so that it stops before another starts. */
  renewSeconds?: number;
  retrySeconds?: number;
}

/** The API's MicroTime has six decimals; one with three is refused. */
const microTime = (): string => new Date().toISOString().replace('Z', '000Z');

/**
 * Elects one leader by a Lease. Whether a lease is stale is judged by the local monotonic clock since its record last
 * changed here, never by comparing clocks of two machines (as client-go does).
 */
export class Elector {
  readonly #options: Required<ElectorOptions>;
  #seenVersion: string | undefined;
  #seenAt = 0;
  #lease: Lease | undefined;
  /** When the renewal that last succeeded was asked for: from then on nobody else may lead for leaseSeconds. */
  #renewedAt = 0;

  constructor(options: ElectorOptions) {
    this.#options = { leaseSeconds: usualLeaseSeconds, renewSeconds: 10, retrySeconds: 2, ...options };
  }

  /** Resolves with true when this one leads, with false when stopped before. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.#attempt()) return true;
      await pause(this.#options.retrySeconds, signal);
    }
    return false;
  }

  /**
   * Holds the lease. Resolves when stopped or lost: after that nothing may be written in the leader's name. An attempt to
   * renew ends when the time to renew does, however slow the API server is.
   */
  async hold(signal: AbortSignal): Promise<'stopped' | 'lost'> {
    while (!signal.aborted) {
      await pause(this.#options.retrySeconds, signal);
      const left = this.#renewedAt + this.#options.renewSeconds * 1000 - performance.now();
      if (signal.aborted) break;
      if (left <= 0) return 'lost';
      const renewed = await this.#attempt(AbortSignal.timeout(Math.ceil(left)));
      if (!renewed && this.#heldByAnother()) return 'lost';
    }
    return 'stopped';
  }

  /**
   * Whether nobody else can lead now: renewed lately by the monotonic clock, which also counts while the process is
   * stopped. True for less long than others wait, and whether or not somebody is in `hold`.
   */
  holds = (): boolean =>
    this.#renewedAt > 0 &&
    !this.#heldByAnother() &&
    performance.now() - this.#renewedAt < this.#options.renewSeconds * 1000;

  /** Gives the lease back, so that another need not wait for its end. */
  async release(): Promise<void> {
    if (this.#lease === undefined || this.#heldByAnother()) return;
    const spec = { ...this.#lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() };
    await this.#replace({ ...this.#lease, spec });
  }

  /** Takes or renews the lease; false when another has it or the API server does not answer until the bound. */
  async #attempt(bound?: AbortSignal): Promise<boolean> {
    const asked = performance.now();
    try {
      const held = await this.#takeOrRenew(bound);
      if (held) this.#renewedAt = asked;
      return held;
    } catch (error) {
      if (!isConflict(error) && !isAlreadyExists(error)) this.#options.warn(`lease: ${(error as Error).message}`);
      return false;
    }
  }

  async #takeOrRenew(bound?: AbortSignal): Promise<boolean> {
    const { cluster, namespace, name, identity, leaseSeconds } = this.#options;
    const found = (await cluster.get(resources.leases, namespace, name, this.#deadline(bound))) as Lease | undefined;
    const times = { leaseDurationSeconds: leaseSeconds, renewTime: microTime() };
    if (found === undefined) {
      const spec: LeaseSpec = { ...times, holderIdentity: identity, acquireTime: times.renewTime, leaseTransitions: 0 };
      const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace }, spec };
      this.#lease = (await cluster.create(resources.leases, namespace, object, this.#deadline(bound))) as Lease;
      return true;
    }
    this.#look(found);
    if (found.spec.holderIdentity === identity) {
      await this.#replace({ ...found, spec: { ...found.spec, ...times } }, bound);
      return true;
    }
    if (!this.#isStale(found)) return false;
    const leaseTransitions = (found.spec.leaseTransitions ?? 0) + 1;
    const spec = { ...times, holderIdentity: identity, acquireTime: times.renewTime, leaseTransitions };
    await this.#replace({ ...found, spec }, bound);
    return true;
  }

  async #replace(lease: Lease, bound?: AbortSignal): Promise<void> {
    this.#lease = (await this.#options.cluster.replace(resources.leases, lease, this.#deadline(bound))) as Lease;
  }

  #look(lease: Lease): void {
    this.#lease = lease;
    if (this.#seenVersion === lease.metadata.resourceVersion) return;
    this.#seenVersion = lease.metadata.resourceVersion;
    this.#seenAt = performance.now();
  }

  #isStale({ spec }: Lease): boolean {
    if (!spec.holderIdentity) return true;
    const seconds = spec.leaseDurationSeconds ?? this.#options.leaseSeconds;
    return performance.now() - this.#seenAt > seconds * 1000;
  }

  #heldByAnother(): boolean {
    const holder = this.#lease?.spec.holderIdentity;
    return holder !== undefined && holder !== this.#options.identity;
  }

  #deadline(bound?: AbortSignal): AbortSignal {
    const own = AbortSignal.timeout((this.#options.renewSeconds * 1000) / 2);
    return bound === undefined ? own : AbortSignal.any([own, bound]);
  }
}
