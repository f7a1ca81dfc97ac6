import type { DPOJob } from '../../../crds/dpojob.ts';
import type { DPOJobStatus } from '../../../crds/status.ts';
import { freeExitCodes, permanentExitCodes } from '../../../crds/exit-codes.ts';
import { labels } from '../../../crds/labels.ts';
import type { Observation, ObservedJob, ObservedPod } from '../../../operator/decide/observation.ts';
import { after, aJob, aRecord, images } from '../observed.ts';
import { begin, close, finish, hold, isActive, lose, wait, type How } from './cluster-model.ts';
import type { Step } from './steps.ts';

export const isOver = ({ state }: DPOJobStatus): boolean => state === 'Complete' || state === 'Failed';
const isPermanent = (code: number): boolean => (permanentExitCodes as readonly number[]).includes(code);
const isFree = (code: number): boolean => (freeExitCodes as readonly number[]).includes(code);
/** Nodes' clocks: by how many seconds they are ahead. */
const clocks = [0, 90, -40];
const hasEnded = ({ status }: ObservedPod): boolean => status?.phase === 'Failed' || status?.phase === 'Succeeded';

/** A DPOJob with the API server, the Job controller and the kubelet around it, in memory; it counts what really happened. */
export class PlayedCluster {
  job: DPOJob = aJob();
  jobs: ObservedJob[] = [];
  pods: ObservedPod[] = [];
  /** What goes wrong when the operator looks next. */
  fault: 'write' | 'act' | 'stale' | undefined;
  /** Seconds of the clock of the API server, and of the first node. */
  seconds = 0;
  /** Whether the operator's clock ever was changed. */
  hasJumped = false;
  /** Pods that ended though nobody stopped them: what `restarts` counts. */
  ends = 0;
  /** Free ends in a row without a newer checkpoint, none of them for want of a node. */
  idleEnds = 0;
  /** Ends of the present Job that count. */
  failures = 0;
  /** By how much the operator's clock is ahead. */
  #ahead = 0;
  #heartbeat = 0;
  #heartbeatSince = 0;
  #answer: Observation['answer'];
  #made = 0;
  #departed: ObservedPod[] = [];
  /** All that are gone, as a standby has seen them go. */
  readonly #gone: ObservedPod[] = [];

  /** By the operator's clock. */
  get now(): string {
    return after(this.seconds + this.#ahead);
  }
  get status(): DPOJobStatus {
    return this.job.status ?? {};
  }
  /** The Job that an active attempt has. */
  get child(): ObservedJob | undefined {
    const ofAttempt = ({ metadata }: ObservedJob): boolean =>
      metadata.labels?.[labels.attempt] === String(this.status.attempt);
    return this.jobs.find((one) => one.metadata.deletionTimestamp === undefined && isActive(one) && ofAttempt(one));
  }
  /** The pod that has not ended. */
  get pod(): ObservedPod | undefined {
    return this.pods.find((pod) => !hasEnded(pod));
  }

  isLost({ metadata }: ObservedJob | ObservedPod): boolean {
    return Number(metadata.labels?.[labels.attempt]) <= (this.status.lostAttempt ?? 0);
  }

  /** What a step says happens. */
  happen(step: Step): void {
    switch (step.do) {
      case 'suspend':
      case 'resume':
        return this.#change({ suspend: step.do === 'suspend' });
      case 'change':
        return this.#change(step.spec);
      case 'wait':
        this.seconds += step.seconds;
        return;
      case 'jump':
        this.#ahead = step.seconds;
        this.hasJumped = true;
        return;
      case 'fault':
        this.fault = step.of;
        return;
      case 'answer':
        return this.#poll(step.stalls);
      default:
        return this.#happenToPods(step);
    }
  }

  #happenToPods(step: Step): void {
    const pod = this.pod;
    if (step.do === 'gone') this.#clear();
    else if (step.do === 'reappear') this.#reappear();
    else if (step.do === 'takeOver') this.#departed = [...this.#gone];
    else if (step.do === 'deleteJob' || step.do === 'queue' || step.do === 'admit') this.#happenToJob(step.do);
    else if (pod !== undefined) this.#happenToPod(pod, step);
  }

  /** Seconds of the clock of a pod's node: pods take turns on the nodes. */
  #clockOf({ metadata }: ObservedPod): number {
    return this.seconds + (clocks[Number(metadata.name.slice(1)) % clocks.length] as number);
  }

  #happenToPod(pod: ObservedPod, step: Step): void {
    if (step.do === 'start') begin(pod, this.#clockOf(pod));
    else if (step.do === 'pullError') wait(pod, 'ImagePullBackOff');
    else if (step.do === 'loseNode' || step.do === 'findNode') lose(pod, step.do === 'loseNode', after(this.seconds));
    else if (step.do === 'exit') this.#end(pod, step.code, { checkpoint: step.checkpoint });
    else if (step.do === 'disrupt') this.#end(pod, 137, { disrupted: true });
    else if (step.do === 'outOfMemory') this.#end(pod, 137, { reason: 'OOMKilled' });
    else if (step.do === 'evict') this.#end(pod, 137, { disrupted: true, reason: 'Evicted' });
  }

  #happenToJob(what: 'deleteJob' | 'queue' | 'admit'): void {
    const child = this.child;
    if (child === undefined) return;
    if (what === 'deleteJob') {
      // As kubectl does: the Job is gone at once, its pods once they have stopped.
      this.jobs = this.jobs.filter((one) => one !== child);
      for (const pod of this.pods) pod.metadata.deletionTimestamp ??= after(this.seconds + 30);
    } else {
      child.spec = { suspend: what === 'queue' };
      hold(child, after(this.seconds));
      if (what === 'queue') this.#evict();
      else this.#replace(child);
    }
  }

  /** A pod that runs saves and stops; with it goes one that never ran. */
  #evict(): void {
    const { pod } = this;
    if (pod === undefined) return;
    pod.metadata.deletionTimestamp = after(this.seconds);
    if (pod.status?.phase === 'Running') finish(pod, 75, { step: this.seconds, seconds: this.#clockOf(pod) }, {});
    this.#remove((one) => one === pod);
  }

  #change(spec: Partial<DPOJob['spec']>): void {
    const { metadata } = this.job;
    const generation = (metadata.generation ?? 0) + 1;
    this.job = { ...this.job, metadata: { ...metadata, generation }, spec: { ...this.job.spec, ...spec } };
  }

  /** A Job whose labels were taken is not seen until they are put back; its pod is not the matter here. */
  #reappear(): void {
    const attempt = (this.status.attempt ?? 0) - 1;
    const name = `quickstart-${attempt}`;
    if (attempt < 1 || this.jobs.some(({ metadata }) => metadata.name === name)) return;
    this.jobs.push({
      metadata: { name, uid: `child-${++this.#made}`, labels: { [labels.attempt]: String(attempt) } },
    });
  }

  /** What was told to go is gone, with its pods. */
  #clear(): void {
    this.#remove(({ metadata }) => metadata.deletionTimestamp !== undefined);
    const gone = this.jobs.filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
    const attempts = new Set(gone.map(({ metadata }) => metadata.labels?.[labels.attempt]));
    this.jobs = this.jobs.filter((one) => !gone.includes(one));
    this.#remove(({ metadata }) => attempts.has(metadata.labels?.[labels.attempt]));
  }

  #poll(stalls: boolean): void {
    const pod = this.pod;
    if (pod?.status?.phase !== 'Running') return;
    if (!stalls || this.#answer?.progress.podUID !== pod.metadata.uid) {
      this.#heartbeat += 1;
      this.#heartbeatSince = this.seconds;
    }
    const progress = { ...aRecord(pod.metadata.name, this.#heartbeat), podUID: pod.metadata.uid };
    this.#answer = { progress, answeredAt: after(this.seconds), heartbeatSince: after(this.#heartbeatSince) };
  }

  /** The trainer of a pod ends, and the Job controller does what the pod failure policy says. */
  #end(pod: ObservedPod, code: number, how: How): void {
    const child = this.child;
    // Of a Job that somebody deleted nothing is left that could tell; the attempt goes on, and its clock with it.
    const stopped = child === undefined ? this.status.attemptStartTime === undefined : child.spec?.suspend === true;
    finish(pod, code, { step: this.seconds, seconds: this.#clockOf(pod) }, how);
    if (code === 0) {
      if (!stopped && child !== undefined) close(child, 'Complete', 'Completed', after(this.seconds));
      return;
    }
    // One that was stopped and saved is no restart; one that failed on its way out is told.
    if (!isOver(this.status) && !(stopped && isFree(code))) this.ends += 1;
    if (!stopped) this.#pay(child, code, how);
  }

  /** The next pod is free, or counts, or there is none. */
  #pay(child: ObservedJob | undefined, code: number, { checkpoint = false, disrupted = false }: How): void {
    if (checkpoint) this.idleEnds = 0;
    else if (isFree(code) && !disrupted) this.idleEnds += 1;
    if (child === undefined) return;
    if (isPermanent(code) && !disrupted) return close(child, 'Failed', 'PodFailurePolicy', after(this.seconds));
    if (!isFree(code) && !disrupted) this.failures += 1;
    if (this.failures <= this.job.spec.backoffLimit) return this.#replace(child);
    close(child, 'Failed', 'BackoffLimitExceeded', after(this.seconds));
  }

  /** The Job controller makes the next pod once no other is there. */
  #replace({ metadata: { labels = {} } }: ObservedJob): void {
    if (this.pod !== undefined) return;
    const name = `p${++this.#made}`;
    // Whole seconds, as the API server's own; some pods are made in the same one.
    const creationTimestamp = after(Math.floor(this.seconds / 5) * 5);
    this.pods.push({
      metadata: { name, uid: `${name}-uid`, creationTimestamp, labels },
      status: { phase: 'Pending' },
    });
  }

  /** Pods that are gone stay to be seen until a look has read how they ended. */
  #remove(which: (pod: ObservedPod) => boolean): void {
    const gone = this.pods.filter(which);
    this.#departed.push(...gone);
    this.#gone.push(...gone);
    this.pods = this.pods.filter((pod) => !which(pod));
  }

  /** All that an operator could see now. */
  observe(): Observation {
    const attempt = String(this.status.attempt ?? 0);
    const pods = [...this.pods, ...this.#departed].filter(
      ({ metadata }) => metadata.labels?.[labels.attempt] === attempt,
    );
    return structuredClone({
      job: this.job,
      jobs: this.jobs,
      pods,
      departed: new Set(this.#departed.map(({ metadata }) => metadata.uid)),
      images,
      ...(this.#answer && pods.some(({ metadata }) => metadata.uid === this.#answer?.progress.podUID)
        ? { answer: this.#answer }
        : {}),
    });
  }

  /** The operator has read how the pods that are gone ended. */
  forgetDeparted(): void {
    this.#departed = [];
  }

  /** What was lost with a node counts as ended; what becomes of it nobody sees. */
  giveUpLost(): void {
    this.ends += 1;
    this.pods = this.pods.filter((pod) => !this.isLost(pod));
  }

  /** Somebody deletes a Job: it stays until its pods are gone. */
  deleteJob(uid: string): void {
    const child = this.jobs.find(({ metadata }) => metadata.uid === uid);
    if (child !== undefined) child.metadata.deletionTimestamp ??= after(this.seconds);
  }

  /** A Job is made, and the Job controller makes its pod. */
  createJob(attempt: number): void {
    this.failures = 0;
    const metadata = {
      name: `quickstart-${attempt}`,
      uid: `child-${++this.#made}`,
      labels: { [labels.attempt]: String(attempt) },
    };
    this.jobs.push({ metadata });
    this.#replace({ metadata });
  }
}
