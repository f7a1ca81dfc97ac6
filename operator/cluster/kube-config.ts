import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher } from 'undici';

/** Connections for requests, beside one for each watch. */
const forRequests = 29;
/** Kinds that are watched, in each namespace or in all. */
const kinds = 3;

interface Internals {
  createDispatcher(cluster: unknown, tls: Record<string, unknown>): Dispatcher | undefined;
  createDispatcherOptions(cluster: unknown, tls: unknown): { type: string; connect?: object };
}

/**
 * Keeps connections for further requests. client-node 2.0.1 makes a new agent, and so a new TLS connection, for each
 * request (kubernetes-client/javascript #2893); here there is one agent per server and credentials. Watches hold their connection:
 * with a fixed number for all, those of many namespaces would leave none for requests.
 */
export function pooled(config: KubeConfig, watchedNamespaces = 1): KubeConfig {
  const connections = forRequests + kinds * Math.max(1, watchedNamespaces);
  const internals = config as unknown as Internals;
  const original = internals.createDispatcher.bind(config);
  const pool = new Map<string, Dispatcher | undefined>();
  internals.createDispatcher = (cluster, tls) => {
    const { server } = (cluster ?? {}) as { server?: string };
    const parts = ['ca', 'cert', 'key', 'pfx', 'servername', 'rejectUnauthorized'].map((name) => String(tls[name]));
    const key = JSON.stringify([server, ...parts]);
    if (!pool.has(key)) {
      const options = internals.createDispatcherOptions(cluster, tls);
      const agent = options.type === 'agent' ? new Agent({ connections, connect: options.connect ?? {} }) : undefined;
      pool.set(key, agent ?? original(cluster, tls));
    }
    return pool.get(key);
  };
  return config;
}

/** The pod's service account, or the kubeconfig of the one who starts the operator by hand. */
export function loadKubeConfig(watchedNamespaces: number): KubeConfig {
  const config = new KubeConfig();
  config.loadFromDefault();
  return pooled(config, watchedNamespaces);
}
