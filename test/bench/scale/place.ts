import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import type { DPOJob } from '../../../crds/dpojob.ts';
import { labels } from '../../../crds/labels.ts';
import type { Stored } from '../../../operator/cluster/cluster.ts';
import { pooled } from '../../../operator/cluster/kube-config.ts';
import { resources } from '../../../operator/cluster/resource.ts';
import { RestCluster } from '../../../operator/cluster/rest-cluster.ts';
import {
  keepDPOJob,
  keepJob,
  keepPod,
  type StoredDPOJob,
  type StoredJob,
  type StoredPod,
} from '../../../operator/keep.ts';
import { Reflector } from '../../../operator/loop/reflector.ts';
import { Store } from '../../../operator/loop/store.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startKwok } from '../../cluster/kwok.ts';
import { startOperator, type OperatorProcess } from '../../integration/operator-process.ts';
import { Workplace } from '../../integration/workplace.ts';
import { Farm } from './farm.ts';
import { memoryGroup, type MemoryGroup } from './memory.ts';

const minimal = parse(readFileSync('crds/examples/minimal.yaml', 'utf8')) as DPOJob;
/** The chart's own limit of the operator's memory. */
const { resources: given } = parse(readFileSync('charts/dpo-operator/values.yaml', 'utf8')) as {
  resources: { limits: { memory: string } };
};
const memoryLimit = Number.parseInt(given.limits.memory, 10) * 2 ** 20;
/** Requests of the benchmark's own that are under way at once. */
const atOnce = 50;

/** An operator with its memory. */
export interface Measured {
  operator: OperatorProcess;
  memory: MemoryGroup;
}

/** A real control plane with nodes that kwok plays, watched by the benchmark as by anybody else. */
export class ScalePlace {
  readonly plane: ControlPlane;
  readonly dpojobs = new Store<StoredDPOJob>();
  readonly jobs = new Store<StoredJob>();
  readonly pods = new Store<StoredPod>();
  /** Jobs ever made, by the name of their DPOJob. */
  readonly made = new Map<string, number>();
  /** The trainers of its pods. */
  readonly farm: Farm;
  readonly #work: Workplace;
  readonly #cluster: RestCluster;
  readonly #watching = new AbortController();
  readonly #groups: MemoryGroup[] = [];
  readonly #operators: OperatorProcess[] = [];
  #stopKwok: () => void = () => {};

  private constructor(work: Workplace, farm: Farm) {
    this.#work = work;
    this.farm = farm;
    this.plane = work.plane;
    const config = new KubeConfig();
    config.loadFromFile(work.plane.kubeconfig);
    this.#cluster = new RestCluster(pooled(config));
    this.jobs.onChange((before, after) => {
      const name = after?.metadata.labels?.[labels.dpojob];
      if (before === undefined && name !== undefined) this.made.set(name, (this.made.get(name) ?? 0) + 1);
    });
    this.pods.onChange((before, after) => {
      if (after === undefined) farm.forget(before?.metadata.uid ?? '');
      else if (after.status?.podIP !== undefined) farm.know(after.status.podIP, after.metadata.uid);
    });
  }

  static async open(): Promise<ScalePlace> {
    const farm = await Farm.open();
    const work = await Workplace.open().catch((error: unknown) => {
      farm.close();
      throw error;
    });
    const place = new ScalePlace(work, farm);
    place.#work.claims('models', 'data');
    place.#follow(resources.dpojobs, place.dpojobs, keepDPOJob);
    place.#follow(resources.jobs, place.jobs, keepJob);
    place.#follow(resources.pods, place.pods, keepPod);
    return place;
  }

  #follow<T extends Stored>(
    resource: (typeof resources)['jobs' | 'pods' | 'dpojobs'],
    store: Store<T>,
    keep: (object: Stored) => T,
  ): void {
    const quiet = { beat: () => {}, warn: () => {} };
    const reflector = new Reflector({ cluster: this.#cluster, resource, selection: {}, store, keep, ...quiet });
    void reflector.run(this.#watching.signal);
  }

  /** Nodes whose pods are done after so many seconds. */
  async nodes(podSeconds: number): Promise<void> {
    this.#stopKwok();
    const room = { cpu: '100k', memory: '1000Ti', pods: '10k', 'nvidia.com/gpu': '10k' };
    this.#stopKwok = await startKwok(this.plane, { count: 10, room, podSeconds, cidr: '127.16.0.1/12' });
  }

  async operator(name: string): Promise<Measured> {
    const memory = memoryGroup(`dpo-scale-${name}-${process.pid}`, memoryLimit);
    this.#groups.push(memory);
    const operator = await startOperator(this.plane, name, {}, memory.procs);
    this.#operators.push(operator);
    return { operator, memory };
  }

  async create(name: string): Promise<void> {
    const output = { source: `pvc://models/${name}` };
    const job = { ...minimal, metadata: { name }, spec: { ...minimal.spec, output } };
    await this.#cluster.create(resources.dpojobs, 'default', job);
  }

  /** Does something for each name, many at once. */
  async each(names: readonly string[], act: (name: string) => Promise<void>): Promise<void> {
    const left = names.values();
    const worker = async (): Promise<void> => {
      for (const name of left) await act(name);
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  }

  async remove(name: string): Promise<void> {
    const found = this.dpojobs.get('default', name);
    if (found !== undefined) await this.#cluster.delete(resources.dpojobs, 'default', name, found.metadata.uid);
  }

  /** Waits until it holds; `seconds` at most. Answers the seconds it took. */
  async until(what: string, holds: () => boolean | Promise<boolean>, seconds = 900): Promise<number> {
    const begun = performance.now();
    const spent = (): number => (performance.now() - begun) / 1000;
    while (!(await holds())) {
      if (spent() > seconds) throw new Error(`${what}: not so after ${seconds} s`);
      await sleep(20);
    }
    return spent();
  }

  /** All that is known of a DPOJob, for an error that says why it does not go on. */
  tell(name: string): string {
    const owned = ({ metadata }: StoredJob | StoredPod): boolean => metadata.labels?.[labels.dpojob] === name;
    const told = {
      dpojob: this.dpojobs.get('default', name),
      jobs: [...this.jobs.all()].filter(owned),
      pods: [...this.pods.all()].filter(owned),
      logs: this.#operators.map(({ log }) => log.slice(-20)),
    };
    return JSON.stringify(told, null, 2);
  }

  /** How many of some DPOJobs are in a state. */
  inState(state: string, prefix: string): number {
    return [...this.dpojobs.all()].filter(
      ({ metadata, status }) => metadata.name.startsWith(prefix) && status?.state === state,
    ).length;
  }

  async close(): Promise<void> {
    this.#watching.abort();
    this.#stopKwok();
    this.farm.close();
    for (const operator of this.#operators) await operator.stop('SIGKILL');
    await this.#work.close();
    for (const group of this.#groups) group.remove();
  }
}
