import type { DPOJob } from '../../../crds/dpojob.ts';
import type { DPOJobStatus } from '../../../crds/status.ts';
import { freeExitCodes, permanentExitCodes } from '../../../crds/exit-codes.ts';
import { labels } from '../../../crds/labels.ts';
import { decide } from '../../../operator/decide/decide.ts';
import type { Action, Decision, Observation, ObservedJob, ObservedPod } from '../../../operator/decide/observation.ts';
import { changeProblems } from '../invariants.ts';
import { after, aJob, aRecord, images } from '../observed.ts';
import { begin, close, finish, isActive, lose, wait, type How } from './cluster-model.ts';
import type { Step } from './steps.ts';

const isOver = ({ state }: DPOJobStatus): boolean => state === 'Complete' || state === 'Failed';
const isPermanent = (code: number): boolean => (permanentExitCodes as readonly number[]).includes(code);
const isFree = (code: number): boolean => (freeExitCodes as readonly number[]).includes(code);
const hasEnded = ({ status }: ObservedPod): boolean => status?.phase === 'Failed' || status?.phase === 'Succeeded';

/** A DPOJob with the API server, the Job controller and the kubelet around it, in memory; the decisions are the operator's. */
export class Course {
  /** What went against the rules. */
  readonly problems: string[] = [];
  job: DPOJob = aJob();
  jobs: ObservedJob[] = [];
  pods: ObservedPod[] = [];
  /** Seconds of the clock of nodes, and by how much the operator's is ahead. */
  #seconds = 0;
  #ahead = 0;
  #heartbeat = 0;
  #heartbeatSince = 0;
  #answer: Observation['answer'];
  #failures = 0;
  #made = 0;
  #fault: 'write' | 'act' | 'stale' | undefined;
  #before: Observation | undefined;
  /** Pods that ended though nobody stopped them: what `restarts` counts. */
  #ends = 0;
  #isDeleted = false;
  #departed: ObservedPod[] = [];
  /** Free ends in a row without a newer checkpoint, none of them for want of a node. */
  #idleEnds = 0;
  /** Seconds in which an attempt's clock ran, and since when it does by the operator's clock. */
  #active = 0;
  #activeSince: string | undefined;
  #jumped = false;

  get #now(): string {
    return after(this.#seconds + this.#ahead);
  }
  get #status(): DPOJobStatus {
    return this.job.status ?? {};
  }

  /** Plays a step, and lets the operator look. */
  play(step: Step): void {
    if (this.#isDeleted) return;
    this.#seconds += 2;
    this.#happen(step);
    this.#look();
  }

  /** Lets the operator look until it has nothing more to do, and checks what it counted. */
  settle(): void {
    for (let i = 0; i < 4 && !this.#isDeleted; i++) {
      this.#fault = undefined;
      this.#seconds += 15;
      this.#look();
    }
    const { restarts = 0 } = this.#status;
    // A pod that ended, unseen, when the operator gave up is taken for one that it stopped.
    const least = this.#ends - (Object.hasOwn(this.#causes(0), this.summary()) ? 1 : 0);
    const isWrong = restarts < least || restarts > this.#ends;
    this.#rule(`restarts is ${restarts}, but ${this.#ends} pods ended`, !this.#isDeleted && isWrong);
    const live = this.jobs.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const isIdle = isOver(this.#status) || this.job.spec.suspend || (this.#child === undefined && this.#waits());
    const wanted = isIdle ? 0 : 1;
    this.#rule(`${live.length} Jobs live, not ${wanted}`, !this.#isDeleted && live.filter(isActive).length !== wanted);
  }

  /** A Job that was told to go is waited for until its pods are gone. */
  #waits(): boolean {
    return this.jobs.some((one) => one.metadata.deletionTimestamp !== undefined && !this.#isLost(one));
  }

  #isLost({ metadata }: ObservedJob | ObservedPod): boolean {
    return Number(metadata.labels?.[labels.attempt]) <= (this.#status.lostAttempt ?? 0);
  }

  #rule(problem: string, broken: boolean): void {
    if (broken) this.problems.push(problem);
  }

  get #child(): ObservedJob | undefined {
    const ofAttempt = ({ metadata }: ObservedJob): boolean =>
      metadata.labels?.[labels.attempt] === String(this.#status.attempt);
    return this.jobs.find((one) => one.metadata.deletionTimestamp === undefined && isActive(one) && ofAttempt(one));
  }
  get #pod(): ObservedPod | undefined {
    return this.pods.find((pod) => !hasEnded(pod));
  }

  #happen(step: Step): void {
    switch (step.do) {
      case 'suspend':
      case 'resume':
        return this.#change({ suspend: step.do === 'suspend' });
      case 'change':
        return this.#change(step.spec);
      case 'wait':
        this.#seconds += step.seconds;
        return;
      case 'jump':
        this.#ahead = step.seconds;
        this.#jumped = true;
        return;
      case 'fault':
        this.#fault = step.of;
        return;
      case 'answer':
        return this.#poll(step.stalls);
      default:
        return this.#happenToPods(step);
    }
  }

  #happenToPods(step: Step): void {
    const pod = this.#pod;
    if (step.do === 'gone') this.#clear();
    else if (step.do === 'reappear') this.#reappear();
    else if (step.do === 'deleteJob' || step.do === 'queue' || step.do === 'admit') this.#happenToJob(step.do);
    else if (pod !== undefined) this.#happenToPod(pod, step);
  }

  #happenToPod(pod: ObservedPod, step: Step): void {
    if (step.do === 'start') begin(pod, this.#seconds);
    else if (step.do === 'pullError') wait(pod, 'ImagePullBackOff');
    else if (step.do === 'loseNode' || step.do === 'findNode') lose(pod, step.do === 'loseNode', after(this.#seconds));
    else if (step.do === 'exit') this.#end(pod, step.code, { checkpoint: step.checkpoint });
    else if (step.do === 'disrupt') this.#end(pod, 137, { disrupted: true });
    else if (step.do === 'outOfMemory') this.#end(pod, 137, { reason: 'OOMKilled' });
    else if (step.do === 'evict') this.#end(pod, 137, { disrupted: true, reason: 'Evicted' });
  }

  #happenToJob(what: 'deleteJob' | 'queue' | 'admit'): void {
    const child = this.#child;
    if (child === undefined) return;
    if (what === 'deleteJob') {
      this.jobs = this.jobs.filter((one) => one !== child);
      this.#remove(() => true);
    } else {
      child.spec = { suspend: what === 'queue' };
      if (what === 'queue') this.#remove((pod) => !hasEnded(pod));
      else this.#replace(child);
    }
  }

  #change(spec: Partial<DPOJob['spec']>): void {
    const { metadata } = this.job;
    const generation = (metadata.generation ?? 0) + 1;
    this.job = { ...this.job, metadata: { ...metadata, generation }, spec: { ...this.job.spec, ...spec } };
  }

  /** A Job whose labels were taken is not seen until they are put back; its pod is not the matter here. */
  #reappear(): void {
    const attempt = (this.#status.attempt ?? 0) - 1;
    const name = `quickstart-${attempt}`;
    if (attempt < 1 || this.jobs.some(({ metadata }) => metadata.name === name)) return;
    this.jobs.push({
      metadata: { name, uid: `child-${++this.#made}`, labels: { [labels.attempt]: String(attempt) } },
    });
  }

  /** What was told to go is gone, with its pods. */
  #clear(): void {
    const gone = this.jobs.filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
    const attempts = new Set(gone.map(({ metadata }) => metadata.labels?.[labels.attempt]));
    this.jobs = this.jobs.filter((one) => !gone.includes(one));
    this.#remove(({ metadata }) => attempts.has(metadata.labels?.[labels.attempt]));
  }

  #poll(stalls: boolean): void {
    const pod = this.#pod;
    if (pod?.status?.phase !== 'Running') return;
    if (!stalls || this.#answer?.progress.podUID !== pod.metadata.uid) {
      this.#heartbeat += 1;
      this.#heartbeatSince = this.#seconds;
    }
    const progress = { ...aRecord(pod.metadata.name, this.#heartbeat), podUID: pod.metadata.uid };
    this.#answer = { progress, answeredAt: after(this.#seconds), heartbeatSince: after(this.#heartbeatSince) };
  }

  /** The trainer of a pod ends, and the Job controller does what the pod failure policy says. */
  #end(pod: ObservedPod, code: number, how: How): void {
    const child = this.#child;
    const stopped = child === undefined || child.spec?.suspend === true;
    finish(pod, code, this.#seconds, how);
    if (code === 0) {
      if (!stopped) close(child, 'Complete', 'Completed', after(this.#seconds));
      return;
    }
    // One that was stopped and saved is no restart; one that failed on its way out is told.
    if (!isOver(this.#status) && !(stopped && isFree(code))) this.#ends += 1;
    if (!stopped) this.#pay(child, code, how);
  }

  /** The next pod is free, or counts, or there is none. */
  #pay(child: ObservedJob, code: number, { checkpoint = false, disrupted = false }: How): void {
    if (checkpoint) this.#idleEnds = 0;
    else if (isFree(code) && !disrupted) this.#idleEnds += 1;
    if (isPermanent(code) && !disrupted) return close(child, 'Failed', 'PodFailurePolicy', after(this.#seconds));
    if (!isFree(code) && !disrupted) this.#failures += 1;
    if (this.#failures <= this.job.spec.backoffLimit) return this.#replace(child);
    close(child, 'Failed', 'BackoffLimitExceeded', after(this.#seconds));
  }

  /** The Job controller makes the next pod once no other is there. */
  #replace({ metadata: { labels = {} } }: ObservedJob): void {
    if (this.#pod !== undefined) return;
    const name = `p${++this.#made}`;
    this.pods.push({ metadata: { name, uid: `${name}-uid`, labels }, status: { phase: 'Pending' } });
  }

  /** Pods that are gone stay to be seen until a look has read how they ended. */
  #remove(which: (pod: ObservedPod) => boolean): void {
    this.#departed.push(...this.pods.filter(which));
    this.pods = this.pods.filter((pod) => !which(pod));
  }

  #look(): void {
    const attempt = String(this.#status.attempt ?? 0);
    const pods = [...this.pods, ...this.#departed].filter(
      ({ metadata }) => metadata.labels?.[labels.attempt] === attempt,
    );
    const present: Observation = structuredClone({
      job: this.job,
      jobs: this.jobs,
      pods,
      images,
      ...(this.#answer && pods.some(({ metadata }) => metadata.uid === this.#answer?.progress.podUID)
        ? { answer: this.#answer }
        : {}),
    });
    const fault = this.#fault;
    this.#fault = undefined;
    const seen = fault === 'stale' ? (this.#before ?? present) : present;
    this.#before = present;
    const decision = decide(seen, this.#now);
    // The API server takes no write that rests on an old view; without a write the view is confirmed before anything is made.
    const isCurrent = JSON.stringify(seen.job) === JSON.stringify(this.job);
    if (fault === 'write' || !isCurrent) return;
    this.#write(decision);
    if (fault === 'act') return;
    decision.actions.forEach((action) => this.#act(action));
    this.#departed = [];
  }

  #write({ status }: Decision): void {
    this.problems.push(...changeProblems(this.#status, status));
    this.#tick(status);
    if (isOver(status) && !isOver(this.#status)) this.#judge(status);
    const lost = this.#status.lostAttempt !== status.lostAttempt;
    this.job = { ...this.job, status: structuredClone(status) };
    if (!lost) return;
    // The pod on the lost node counts as ended; what becomes of it nobody sees.
    this.#ends += 1;
    this.pods = this.pods.filter((pod) => !this.#isLost(pod));
  }

  #tick(status: DPOJobStatus): void {
    if (this.#activeSince !== undefined)
      this.#active += Math.max(0, (Date.parse(this.#now) - Date.parse(this.#activeSince)) / 1000);
    this.#activeSince = status.attemptStartTime === undefined ? undefined : this.#now;
    const most = (this.job.spec.activeDeadlineSeconds ?? Infinity) + 2 * (this.#status.attempt ?? 0);
    const late = this.#active > most && !this.#jumped && !isOver(status);
    this.#rule(`active for ${this.#active} s`, late && status.attemptStartTime !== undefined);
  }

  /** Whether the job ended for a reason that there is. */
  #judge({ state, conditions = [], attempt = 0 }: DPOJobStatus): void {
    const reason = conditions.find(({ type }) => type === 'Failed')?.reason ?? '';
    const ended = (type: string): boolean =>
      this.jobs.some(({ status }) => status?.conditions?.some((one) => one.type === type));
    const isWrong: Record<string, boolean> = {
      Complete: !ended('Complete'),
      Failed: !(this.#causes(attempt)[reason] ?? ended('Failed')),
      Free: reason === 'BackoffLimitExceeded' && this.#failures === 0,
    };
    this.#rule('Complete, without a Job that is', state === 'Complete' && isWrong['Complete'] === true);
    this.#rule(`Failed: ${reason}, without cause`, state === 'Failed' && isWrong['Failed'] === true);
    this.#rule('given up although all restarts were free', isWrong['Free'] === true);
  }

  /** Whether there is a cause for what the operator itself fails a job for. */
  #causes(attempt: number): Record<string, boolean> {
    const { activeDeadlineSeconds = Infinity, startDeadlineSeconds, progressDeadlineSeconds } = this.job.spec;
    const runs = this.#pod?.status?.phase === 'Running';
    return {
      DeadlineExceeded: this.#active >= activeDeadlineSeconds - 2 * attempt,
      StartDeadlineExceeded: startDeadlineSeconds !== undefined && !runs,
      ProgressDeadlineExceeded: progressDeadlineSeconds !== undefined && runs,
      RestartsWithoutProgress: this.#idleEnds >= 3,
    };
  }

  /** What a course has led to, for whoever counts how many of each there were. */
  summary(): string {
    const reason = this.#status.conditions?.find(({ type, status }) => type === 'Failed' && status === 'True')?.reason;
    return this.#isDeleted ? 'deleted' : (reason ?? this.#status.state ?? 'none');
  }

  #act(action: Action): void {
    if (action.kind === 'create') return this.#create(action.attempt);
    if (action.kind === 'deleteDPOJob') {
      this.#isDeleted = true;
      const { completionTime = '', state } = this.#status;
      const ttl = this.job.spec.ttlSecondsAfterFinished ?? Infinity;
      const age = (Date.parse(this.#now) - Date.parse(completionTime)) / 1000;
      return this.#rule(`deleted in state ${state} after ${age} of ${ttl} s`, !(age >= ttl));
    }
    const child = this.jobs.find(({ metadata }) => metadata.uid === action.uid);
    if (child !== undefined) child.metadata.deletionTimestamp ??= after(this.#seconds);
  }

  #create(attempt: number): void {
    const name = `quickstart-${attempt}`;
    if (this.jobs.some(({ metadata }) => metadata.name === name)) return;
    this.#rule(`attempt ${attempt} was made of a job that is over`, isOver(this.#status));
    this.#rule(`attempt ${attempt} was made before it was written`, this.#status.attempt !== attempt);
    this.#rule(`attempt ${attempt} was made while suspended`, this.job.spec.suspend);
    const before = this.jobs.filter((one) => !this.#isLost(one));
    this.#rule(`attempt ${attempt} was made beside ${before[0]?.metadata.name}`, before.length > 0);
    this.#failures = 0;
    const child = {
      metadata: { name, uid: `child-${++this.#made}`, labels: { [labels.attempt]: String(attempt) } },
    };
    this.jobs.push(child);
    this.#replace(child);
  }
}

/** Plays a course to its end. */
export function playCourse(steps: readonly Step[]): Course {
  const course = new Course();
  course.settle();
  for (const step of steps) course.play(step);
  course.settle();
  return course;
}
