import type { DPOJob, DPOJobStatus } from '../../crds/dpojob.ts';
import { labels } from '../../crds/labels.ts';
import type { RunConfig } from '../../crds/run-config.ts';
import type { Event, ObservedJob, ObservedPod } from '../../operator/decide/observation.ts';
import type { World } from '../../operator/reconcile.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';

interface Owned {
  metadata: { ownerReferences?: { uid: string; controller?: boolean }[] };
}

const ownerOf = ({ metadata }: Owned): string | undefined =>
  metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid;

/** A World over kubectl and a clock that the test sets: the API server is real, only time is not. */
export class KubectlWorld implements World {
  readonly events: Event[] = [];
  readonly images = { trainer: 'trainer:test', gpu: 'trainer-gpu:test' };
  /** Seconds added to the real time. */
  ahead = 0;
  readonly plane: ControlPlane;

  constructor(plane: ControlPlane) {
    this.plane = plane;
  }

  now = (): string => new Date(Date.now() + this.ahead * 1000).toISOString();
  untilFigures = (): number => 0;
  emit = (_job: DPOJob, event: Event): void => void this.events.push(event);

  /** An object or list as JSON, or undefined when it is not there. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- JSON of the API server: the caller knows its kind
  get<T>(...args: string[]): T | undefined {
    const { code, output } = this.plane.kubectl(['get', ...args, '-o', 'json']);
    return code === 0 ? (JSON.parse(output) as T) : undefined;
  }

  run(args: string[], input?: unknown): string {
    const { code, output } = this.plane.kubectl(args, input === undefined ? '' : JSON.stringify(input));
    if (code !== 0) {
      throw new Error(`kubectl ${args.join(' ')}: ${output}`);
    }
    return output;
  }

  async observe(namespace: string, name: string): ReturnType<World['observe']> {
    const job = this.get<DPOJob>('dpojob', name, '-n', namespace);
    if (job === undefined) {
      return undefined;
    }
    const selector = `${labels.dpojob}=${name}`;
    const list = <T>(...args: string[]): T[] => this.get<{ items: T[] }>(...args, '-n', namespace)?.items ?? [];
    const jobs = list<ObservedJob>('jobs', '-l', selector).filter((child) => ownerOf(child) === job.metadata.uid);
    const attempt = job.status?.attempt ?? 0;
    const pods = list<ObservedPod>('pods', '-l', `${selector},${labels.attempt}=${attempt}`);
    const config = this.get<{ data: { 'job.json': string } }>('configmap', `${name}-${attempt}`, '-n', namespace);
    const attemptSpec = config && (JSON.parse(config.data['job.json']) as RunConfig).spec;
    return { job, jobs, pods, images: this.images, ...(attemptSpec === undefined ? {} : { attemptSpec }) };
  }

  async applyStatus(job: DPOJob, status: DPOJobStatus): Promise<DPOJob> {
    const { apiVersion, kind } = job;
    const { name, namespace } = job.metadata;
    const flags = ['--server-side', '--subresource=status', '--field-manager=dpo-operator', '--force-conflicts'];
    this.run(['apply', ...flags, '-f', '-'], { apiVersion, kind, metadata: { name, namespace }, status });
    return { ...job, status };
  }

  async create(child: Parameters<World['create']>[0]): ReturnType<World['create']> {
    const { code, output } = this.plane.kubectl(['create', '-f', '-'], JSON.stringify(child));
    if (code === 0) {
      return { created: true };
    }
    if (!output.includes('AlreadyExists')) {
      throw new Error(output);
    }
    const there = this.get<Owned>(`${child.kind}`, `${child.metadata?.name}`, '-n', `${child.metadata?.namespace}`);
    return { created: false, ownerUID: there && ownerOf(there) };
  }

  async deleteJob(namespace: string, name: string): Promise<void> {
    this.run(['delete', 'job', name, '-n', namespace, '--cascade=foreground', '--wait=false', '--ignore-not-found']);
  }

  async deleteDPOJob(namespace: string, name: string): Promise<void> {
    this.run(['delete', 'dpojob', name, '-n', namespace, '--wait=false', '--ignore-not-found']);
  }
}
