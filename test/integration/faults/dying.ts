import type { Cluster } from '../../../operator/cluster/cluster.ts';

export type Moment = 'before' | 'after';

/**
 * A cluster that kills who uses it: its nth call (watches and lists aside) never returns, either before it reached the API
 * server or after it took effect, and nothing that is asked later does.
 */
export function dying(cluster: Cluster, nth: number, moment: Moment): { cluster: Cluster; died: Promise<string> } {
  const { promise: died, resolve } = Promise.withResolvers<string>();
  const never = new Promise<never>(() => undefined);
  let calls = 0;
  const call =
    <A extends unknown[], R>(name: string, method: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const at = ++calls;
      if (at > nth || (at === nth && moment === 'before')) {
        resolve(name);
        return never;
      }
      const answer = await method(...args);
      if (at < nth) return answer;
      resolve(name);
      return never;
    };
  return {
    died,
    cluster: {
      list: (...args) => cluster.list(...args),
      watch: (...args) => cluster.watch(...args),
      get: call('get', (...args: Parameters<Cluster['get']>) => cluster.get(...args)),
      create: call('create', (...args: Parameters<Cluster['create']>) => cluster.create(...args)),
      replace: call('replace', (...args: Parameters<Cluster['replace']>) => cluster.replace(...args)),
      applyStatus: call('applyStatus', (...args: Parameters<Cluster['applyStatus']>) => cluster.applyStatus(...args)),
      mergePatch: call('mergePatch', (...args: Parameters<Cluster['mergePatch']>) => cluster.mergePatch(...args)),
      delete: call('delete', (...args: Parameters<Cluster['delete']>) => cluster.delete(...args)),
    },
  };
}
