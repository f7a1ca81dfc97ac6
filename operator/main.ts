import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import type { Logger } from 'winston';
import type { Cluster } from './cluster/cluster.ts';
import { loadKubeConfig } from './cluster/kube-config.ts';
import { RestCluster } from './cluster/rest-cluster.ts';
import { readConfig, type OperatorConfig } from './config.ts';
import { Controller } from './controller.ts';
import { makeLog } from './log.ts';
import { Elector } from './loop/elector.ts';
import { fenced } from './loop/fence.ts';
import { Recorder } from './loop/recorder.ts';
import { ControllerMetrics } from './serve/controller-metrics.ts';
import { isStale, isStuck } from './serve/health.ts';
import { registerJobMetrics } from './serve/job-metrics.ts';
import { serve, type Listening, type Protection } from './serve/server.ts';
import { shared } from './serve/shared.ts';
import { TokenReviewer } from './serve/token-reviewer.ts';
import { ClusterWorld, Stores } from './world.ts';

/** Wires the parts and runs until stopped. Answers the exit code: 1 when the lease was lost, so that the pod restarts. */
async function run(config: OperatorConfig, log: Logger, signal: AbortSignal): Promise<number> {
  const registry = new Registry();
  const metrics = new ControllerMetrics(registry);
  const open = new RestCluster(loadKubeConfig(config.watchNamespaces.length), metrics.requested);
  // Two pods never have one name, but a container that restarts in its pod must not take its forerunner's lease for its own.
  const identity = `${config.identity}_${randomUUID()}`;
  const warn = (message: string): void => void log.warn(message);
  const { namespace, leaseName: name } = config;
  const elector = new Elector({ cluster: open, namespace, name, identity, warn });
  const cluster = fenced(open, elector.holds);
  const stores = new Stores();
  const world = new ClusterWorld(cluster, stores, new Recorder(cluster, identity, warn), config.images);
  const namespaces = config.watchNamespaces;
  const controller = new Controller({ cluster, world, metrics, log, namespaces });

  let leads = false;
  let ready = false;
  registerJobMetrics(
    registry,
    () => stores.dpojobs.all(),
    () => leads,
  );
  const health = {
    ready: () => ready && controller.sees() && !isStale(metrics.watchAges()),
    alive: () => !isStuck(metrics.watchAges()),
  };
  // A standby asks too whose a token is: that is no write, and needs no lease.
  const servers = await listen(config, { registry, cluster: open, warn }, health);
  log.info('started', { metricsPort: servers[0]?.port, healthPort: servers[1]?.port, identity });

  const watching = controller.watch(signal);
  void controller.synced().then(() => (ready = true));
  const lead = async (leading: AbortSignal): Promise<void> => {
    await Promise.race([controller.synced(), aborted(leading)]);
    // Only now: a leader shows the jobs' figures once it knows them all.
    leads = true;
    metrics.setLeader(true);
    log.info('leading');
    await controller.lead(leading);
  };
  if ((await elect(elector, lead, signal)) === 'lost') {
    // Writes that are under way end with the process: another leads now.
    log.error('lost the lease');
    return 1;
  }
  await elector.release().catch((error: Error) => warn(`lease: ${error.message}`));
  await watching;
  await Promise.all(servers.map((server) => server.close()));
  log.info('stopped');
  return 0;
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));

/** Leads once elected, and for as long as the lease is held: also while what was begun at a stop comes to its end. */
async function elect(
  elector: Elector,
  lead: (leading: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<'stopped' | 'lost'> {
  if (!(await elector.acquire(signal))) return 'stopped';
  const leadership = new AbortController();
  const finished = new AbortController();
  const working = lead(AbortSignal.any([signal, leadership.signal])).finally(() => finished.abort());
  const end = await elector.hold(finished.signal);
  leadership.abort();
  if (end === 'stopped') await working;
  return end;
}

interface Health {
  ready(): boolean;
  alive(): boolean;
}
interface Served {
  registry: Registry;
  cluster: Pick<Cluster, 'create'>;
  warn: (message: string) => void;
}

function listen(
  { metricsPort, healthPort, metrics: { certificate, authentication } }: OperatorConfig,
  { registry, cluster, warn }: Served,
  health: Health,
): Promise<Listening[]> {
  const told = (well: boolean, else_: string): { status: number; body: string } =>
    well ? { status: 200, body: 'ok\n' } : { status: 503, body: `${else_}\n` };
  // As bytes: of a text each answer that waits to be sent would have a copy.
  const metrics = shared(async () => ({
    status: 200,
    body: Buffer.from(await registry.metrics()),
    type: registry.contentType,
  }));
  const reviewer = authentication === 'token' ? new TokenReviewer(cluster) : undefined;
  const admits = reviewer && ((...asked: Parameters<TokenReviewer['admits']>) => reviewer.admits(...asked));
  const protection: Protection = { certificate, admits, warn };
  return Promise.all([
    serve(metricsPort, { '/metrics': metrics }, protection),
    serve(healthPort, {
      '/healthz': async () => told(health.alive(), 'a watch is dead although the API server answers'),
      '/readyz': async () => told(health.ready(), 'the watches have not caught up yet, or have been silent for long'),
    }),
  ]);
}

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
try {
  const config = readConfig(process.env);
  process.exit(await run(config, makeLog(config.logLevel), stop.signal));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
