import { KubeConfig } from '@kubernetes/client-node';
import { Registry } from 'prom-client';
import type { Cluster } from '../../../operator/cluster/cluster.ts';
import { pooled } from '../../../operator/cluster/kube-config.ts';
import { RestCluster } from '../../../operator/cluster/rest-cluster.ts';
import { Controller } from '../../../operator/controller.ts';
import { makeLog } from '../../../operator/log.ts';
import { Recorder } from '../../../operator/loop/recorder.ts';
import { ControllerMetrics } from '../../../operator/serve/controller-metrics.ts';
import { ClusterWorld, Stores } from '../../../operator/world.ts';

const patience = { request: 2000, silence: 3000 };

/** The operator's client of an API server at an address, as admin; one that is `hasty` gives up what hangs within a test. */
export function clusterAt(server: string, hasty = false): Cluster {
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: 'c', server, skipTLSVerify: true }, { name: 'u', token: 'admin-token' });
  return new RestCluster(pooled(config), undefined, hasty ? patience : undefined);
}

export interface RunningOperator {
  /** Ends it; without waiting for what it has begun, if it is to die. */
  stop(): Promise<void>;
}

export interface OperatorOptions {
  cluster: Cluster;
  namespace: string;
  now?: () => string;
}

/** An operator that leads, in this process: all of the program but its lease and its servers. */
export function startOperator({ cluster, namespace, now }: OperatorOptions): RunningOperator {
  const metrics = new ControllerMetrics(new Registry());
  const images = { trainer: 'trainer:test', gpu: 'trainer:test' };
  const recorder = new Recorder(cluster, 'test', () => undefined);
  const world = new ClusterWorld(cluster, new Stores(), recorder, images);
  if (now !== undefined) world.now = now;
  const log = makeLog('error');
  const controller = new Controller({ cluster, world, metrics, log, namespaces: [namespace] });
  const stop = new AbortController();
  const running = [controller.watch(stop.signal), controller.lead(stop.signal)];
  return {
    stop: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}
