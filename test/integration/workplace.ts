import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import type { ConditionType } from '../../crds/conditions.ts';
import type { DPOJob, DPOJobSpecInput } from '../../crds/dpojob.ts';
import type { Condition } from '../../crds/status.ts';
import type { Progress } from '../../crds/progress.ts';
import { trainerPort } from '../../crds/run-config.ts';
import type { ControlPlane, ControlPlaneOptions } from '../cluster/control-plane.ts';
import { Kubectl, startWithCrd } from './kubectl.ts';
import { startOperator, type OperatorProcess } from './operator-process.ts';

export interface Pod {
  metadata: { name: string; uid: string };
}

export const example = parse(readFileSync('crds/examples/quickstart.yaml', 'utf8')) as DPOJob;

/** The operator's program, a real API server and a real Job controller; the test plays user, scheduler and kubelet. */
export class Workplace {
  readonly plane: ControlPlane;
  readonly kubectl: Kubectl;
  #operators: OperatorProcess[] = [];

  readonly #namespace: string;

  private constructor(plane: ControlPlane, namespace = 'default') {
    this.plane = plane;
    this.#namespace = namespace;
    this.kubectl = new Kubectl(plane, namespace);
  }

  static async open(options: ControlPlaneOptions = {}): Promise<Workplace> {
    return new Workplace(await startWithCrd(options));
  }

  /** The same place seen from a namespace, which is made with these labels. */
  within(namespace: string, labels: Record<string, string> = {}): Workplace {
    this.kubectl.run(['create', '-f', '-'], {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels },
    });
    return new Workplace(this.plane, namespace);
  }

  async start(name: string, environment: Record<string, string> = {}): Promise<OperatorProcess> {
    const operator = await startOperator(this.plane, name, environment);
    this.#operators.push(operator);
    return operator;
  }

  /** Kills every operator and forgets who led. */
  async stopOperators(): Promise<void> {
    await Promise.all(this.#operators.map((operator) => operator.stop('SIGKILL')));
    this.#operators = [];
    this.plane.kubectl(['delete', 'lease', 'dpo-operator', '--ignore-not-found']);
  }

  async close(): Promise<void> {
    await this.stopOperators();
    this.plane.stop();
  }

  stored(name: string): DPOJob | undefined {
    return this.kubectl.get<DPOJob>('dpojob', name);
  }
  condition(name: string, type: ConditionType): Partial<Condition> {
    return this.stored(name)?.status?.conditions?.find((one) => one.type === type) ?? {};
  }
  isTrue(name: string, type: ConditionType): boolean {
    return this.condition(name, type).status === 'True';
  }
  /** Its pods, the oldest first. */
  podsOf(name: string): Pod[] {
    const selector = `training.dpo-operator.io/dpojob=${name}`;
    return (
      this.kubectl.get<{ items: Pod[] }>('pods', '-l', selector, '--sort-by=.metadata.creationTimestamp')?.items ?? []
    );
  }
  jobsOf(name: string): string[] {
    const items = this.kubectl.get<{ items: Pod[] }>('jobs', '-l', `training.dpo-operator.io/dpojob=${name}`)?.items;
    return (items ?? []).map(({ metadata }) => metadata.name);
  }
  eventsOf(name: string): string[] {
    const selector = `--field-selector=involvedObject.kind=DPOJob,involvedObject.name=${name}`;
    return (this.kubectl.get<{ items: { reason: string }[] }>('events', selector)?.items ?? []).map(
      ({ reason }) => reason,
    );
  }

  /** Applies the quickstart example under a name, with changes. */
  apply(name: string, changes: Partial<DPOJobSpecInput> = {}, labels: Record<string, string> = {}): void {
    const job = { ...example, metadata: { name, labels }, spec: { ...example.spec, ...changes } };
    this.kubectl.run(['apply', '--server-side', '-f', '-'], job);
  }

  async until(what: string, holds: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (!(await holds())) {
      if (Date.now() > deadline) {
        const logs = this.#operators.map(({ log }) => JSON.stringify(log.slice(-10))).join('\n');
        const jobs = this.kubectl.run(['get', 'dpojob', '-o', 'yaml']);
        throw new Error(`${what}: not so after ${seconds} s\n${jobs}\n${logs}`);
      }
      await sleep(100);
    }
  }

  /** Waits until as many pods were made for a job; answers the youngest. */
  async pod(name: string, count = 1): Promise<Pod> {
    await this.until(`pod ${count} of ${name}`, () => this.podsOf(name).length === count);
    return this.podsOf(name).at(-1) as Pod;
  }

  /** A node that the real scheduler takes; nobody is there to run what it is given. */
  node(name: string, allocatable: Record<string, string> = {}): void {
    const room = { cpu: '64', memory: '256Gi', pods: '110', 'ephemeral-storage': '1Ti', ...allocatable };
    const lastHeartbeatTime = new Date().toISOString();
    const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime }];
    const status = { capacity: room, allocatable: room, conditions };
    this.kubectl.run(['create', '-f', '-'], { apiVersion: 'v1', kind: 'Node', metadata: { name }, status });
  }

  /** Claims that are bound to volumes of their own. */
  claims(...names: string[]): void {
    for (const name of names) {
      const size = { storage: '1Gi' };
      const both = { accessModes: ['ReadWriteMany'], storageClassName: '' };
      const claimRef = { namespace: this.#namespace, name };
      const volume = { ...both, capacity: size, hostPath: { path: '/none' }, claimRef };
      const metadata = { name: `${this.#namespace}-${name}` };
      this.kubectl.run(['create', '-f', '-'], { apiVersion: 'v1', kind: 'PersistentVolume', metadata, spec: volume });
      const claim = { ...both, resources: { requests: size }, volumeName: metadata.name };
      const object = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name }, spec: claim };
      this.kubectl.run(['create', '-f', '-'], object);
    }
  }

  /** Plays the scheduler: puts a pod on a node, unless the real one has done so. */
  bind(name: string, node = 'node'): void {
    if (this.kubectl.get<{ spec: { nodeName?: string } }>('pod', name)?.spec.nodeName !== undefined) return;
    const target = { kind: 'Node', name: node };
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target };
    const path = `/api/v1/namespaces/${this.#namespace}/pods/${name}/binding`;
    try {
      this.kubectl.run(['create', '--raw', path, '-f', '-'], binding);
    } catch (error) {
      // The real one was quicker.
      if (!String(error).includes('is already assigned to node')) throw error;
    }
  }

  /** Plays scheduler and kubelet: the trainer of a pod runs, at an address if given. */
  run({ metadata: { name } }: Pod, podIP?: string): void {
    this.bind(name);
    const address = podIP === undefined ? {} : { podIP, podIPs: [{ ip: podIP }] };
    const state = { running: { startedAt: new Date().toISOString() } };
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status: 'True' }));
    this.set(name, { phase: 'Running', ...address, conditions, containerStatuses: container(state) });
  }

  /** Plays the kubelet: the trainer of a pod ended with an exit code and a termination message. */
  end({ metadata: { name } }: Pod, exitCode: number, message = '', conditions: object[] = []): void {
    const time = new Date().toISOString();
    const reason = exitCode === 0 ? 'Completed' : 'Error';
    const terminated = { exitCode, reason, message, startedAt: time, finishedAt: time };
    const phase = exitCode === 0 ? 'Succeeded' : 'Failed';
    const unready = ['Ready', 'ContainersReady'].map((type) => ({ type, status: 'False', reason: 'PodFailed' }));
    const all = [...unready, ...conditions];
    this.set(name, { phase, conditions: all, containerStatuses: container({ terminated }) });
  }

  /** Plays the kubelet: a pod that was told to go is gone. */
  confirmGone({ metadata: { name } }: Pod): void {
    this.kubectl.run(['delete', 'pod', name, '--force', '--grace-period=0', '--ignore-not-found']);
  }

  /** Plays the kubelet: merges into the status of a pod, its conditions by their type. */
  set(name: string, status: object): void {
    this.kubectl.run([
      'patch',
      'pod',
      name,
      '--subresource=status',
      '--type=strategic',
      '-p',
      JSON.stringify({ status }),
    ]);
  }
}

export const container = (state: object): object[] => [
  { name: 'trainer', image: 'i', imageID: '', ready: false, restartCount: 0, state },
];

/** What the trainer of a pod says of itself. */
export const progressOf = ({ metadata }: Pod, more: Partial<Progress> = {}): Progress => ({
  podUID: metadata.uid,
  attempt: 1,
  heartbeat: 1,
  time: new Date().toISOString(),
  stage: 'Training',
  step: 3,
  totalSteps: 9,
  stageStep: 3,
  stageTotal: 9,
  epoch: 0.33,
  percent: 40,
  metrics: { loss: 0.6543217, beta: 0.1, rewardMargin: 0.25 },
  warnings: [],
  ...more,
});

/** What a trainer leaves as its termination message. */
export const leaves = (reason: string, message = '', progress?: Progress): string =>
  JSON.stringify({ reason, message, ...(progress && { progress }) });

/** A trainer's /progress, at an address of loopback that a pod is given. */
export async function trainerAt(address: string, answer: () => Progress): Promise<Server> {
  const server = createServer((_request, response) => response.end(JSON.stringify(answer())));
  await new Promise<void>((resolve) => server.listen(trainerPort, address, resolve));
  return server;
}
