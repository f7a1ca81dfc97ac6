import type { Cluster } from '../cluster/cluster.ts';

/**
 * The same cluster, whose writes are refused once the lease may be another's. A process that was stopped for long
 * (SIGSTOP, a frozen machine) goes on where it stood, before any timer tells it that its lease is lost.
 */
export function fenced(cluster: Cluster, holdsLease: () => boolean): Cluster {
  const guarded =
    <A extends unknown[], R>(write: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (!holdsLease()) throw new Error('the lease may be held by another: nothing is written');
      return write(...args);
    };
  return {
    list: (...args) => cluster.list(...args),
    watch: (...args) => cluster.watch(...args),
    get: (...args) => cluster.get(...args),
    create: guarded((...args: Parameters<Cluster['create']>) => cluster.create(...args)),
    replace: guarded((...args: Parameters<Cluster['replace']>) => cluster.replace(...args)),
    applyStatus: guarded((...args: Parameters<Cluster['applyStatus']>) => cluster.applyStatus(...args)),
    mergePatch: guarded((...args: Parameters<Cluster['mergePatch']>) => cluster.mergePatch(...args)),
    delete: guarded((...args: Parameters<Cluster['delete']>) => cluster.delete(...args)),
  };
}
