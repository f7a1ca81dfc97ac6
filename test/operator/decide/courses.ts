import type { DPOJobStatus } from '../../../crds/status.ts';
import { decide } from '../../../operator/decide/decide.ts';
import type { Action, Decision, Observation } from '../../../operator/decide/observation.ts';
import { changeProblems } from '../invariants.ts';
import { isActive } from './cluster-model.ts';
import { isOver, PlayedCluster } from './played-cluster.ts';
import type { Step } from './steps.ts';

/** What the operator's decisions do to a DPOJob whatever happens around it, held to the rules. */
export class Course {
  /** What went against the rules. */
  readonly problems: string[] = [];
  readonly cluster = new PlayedCluster();
  #before: Observation | undefined;
  #isDeleted = false;
  /** Seconds in which an attempt's clock ran, and since when it does by the operator's clock. */
  #active = 0;
  #activeSince: string | undefined;

  get #status(): DPOJobStatus {
    return this.cluster.status;
  }

  /** Plays a step, and lets the operator look. */
  play(step: Step): void {
    if (this.#isDeleted) return;
    this.cluster.seconds += 2;
    this.cluster.happen(step);
    this.#look();
  }

  /** Lets the operator look until it has nothing more to do, and checks what it counted. */
  settle(): void {
    for (let i = 0; i < 4 && !this.#isDeleted; i++) {
      this.cluster.fault = undefined;
      this.cluster.seconds += 15;
      this.#look();
    }
    const { restarts = 0 } = this.#status;
    // A pod that ended, unseen, when the operator gave up is taken for one that it stopped.
    const least = this.cluster.ends - (Object.hasOwn(this.#causes(0), this.summary()) ? 1 : 0);
    const isWrong = restarts < least || restarts > this.cluster.ends;
    this.#rule(`restarts is ${restarts}, but ${this.cluster.ends} pods ended`, !this.#isDeleted && isWrong);
    const live = this.cluster.jobs.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const isIdle =
      isOver(this.#status) || this.cluster.job.spec.suspend || (this.cluster.child === undefined && this.#waits());
    const wanted = isIdle ? 0 : 1;
    this.#rule(`${live.length} Jobs live, not ${wanted}`, !this.#isDeleted && live.filter(isActive).length !== wanted);
  }

  /** A Job that was told to go is waited for until its pods are gone, and so are the pods of one that is gone. */
  #waits(): boolean {
    const { pod } = this.cluster;
    if (pod !== undefined && !this.cluster.isLost(pod)) return true;
    return this.cluster.jobs.some((one) => one.metadata.deletionTimestamp !== undefined && !this.cluster.isLost(one));
  }

  #rule(problem: string, broken: boolean): void {
    if (broken) this.problems.push(problem);
  }

  #look(): void {
    const { cluster } = this;
    const present = cluster.observe();
    const { fault } = cluster;
    cluster.fault = undefined;
    const seen = fault === 'stale' ? (this.#before ?? present) : present;
    this.#before = present;
    const decision = decide(seen, cluster.now);
    // The API server takes no write that rests on an old view; without a write the view is confirmed before anything is made.
    const isCurrent = JSON.stringify(seen.job) === JSON.stringify(cluster.job);
    if (fault === 'write' || !isCurrent) return;
    this.#write(decision);
    if (fault === 'act') return;
    decision.actions.forEach((action) => this.#act(action));
    cluster.forgetDeparted();
  }

  #write({ status }: Decision): void {
    const { cluster } = this;
    this.problems.push(...changeProblems(this.#status, status));
    this.#tick(status);
    if (isOver(status) && !isOver(this.#status)) this.#judge(status);
    const hasLost = this.#status.lostAttempt !== status.lostAttempt;
    cluster.job = { ...cluster.job, status: structuredClone(status) };
    if (hasLost) cluster.giveUpLost();
  }

  #tick(status: DPOJobStatus): void {
    if (this.#activeSince !== undefined)
      this.#active += Math.max(0, (Date.parse(this.cluster.now) - Date.parse(this.#activeSince)) / 1000);
    this.#activeSince = status.attemptStartTime === undefined ? undefined : this.cluster.now;
    const most = (this.cluster.job.spec.activeDeadlineSeconds ?? Infinity) + 2 * (this.#status.attempt ?? 0);
    const late = this.#active > most && !this.cluster.hasJumped && !isOver(status);
    this.#rule(`active for ${this.#active} s`, late && status.attemptStartTime !== undefined);
  }

  /** Whether the job ended for a reason that there is. */
  #judge({ state, conditions = [], attempt = 0 }: DPOJobStatus): void {
    const reason = conditions.find(({ type }) => type === 'Failed')?.reason ?? '';
    const ended = (type: string): boolean =>
      this.cluster.jobs.some(({ status }) => status?.conditions?.some((one) => one.type === type));
    const isWrong: Record<string, boolean> = {
      Complete: !ended('Complete'),
      Failed: !(this.#causes(attempt)[reason] ?? ended('Failed')),
      Free: reason === 'BackoffLimitExceeded' && this.cluster.failures === 0,
    };
    this.#rule('Complete, without a Job that is', state === 'Complete' && isWrong['Complete'] === true);
    this.#rule(`Failed: ${reason}, without cause`, state === 'Failed' && isWrong['Failed'] === true);
    this.#rule('given up although all restarts were free', isWrong['Free'] === true);
  }

  /** Whether there is a cause for what the operator itself fails a job for. */
  #causes(attempt: number): Record<string, boolean> {
    const { activeDeadlineSeconds = Infinity, startDeadlineSeconds, progressDeadlineSeconds } = this.cluster.job.spec;
    const runs = this.cluster.pod?.status?.phase === 'Running';
    return {
      DeadlineExceeded: this.#active >= activeDeadlineSeconds - 2 * attempt,
      StartDeadlineExceeded: startDeadlineSeconds !== undefined && !runs,
      ProgressDeadlineExceeded: progressDeadlineSeconds !== undefined && runs,
      RestartsWithoutProgress: this.cluster.idleEnds >= 3,
    };
  }

  /** What a course has led to, for whoever counts how many of each there were. */
  summary(): string {
    const reason = this.#status.conditions?.find(({ type, status }) => type === 'Failed' && status === 'True')?.reason;
    return this.#isDeleted ? 'deleted' : (reason ?? this.#status.state ?? 'none');
  }

  #act(action: Action): void {
    if (action.kind === 'create') return this.#create(action.attempt);
    if (action.kind === 'find') return;
    if (action.kind !== 'deleteDPOJob') return this.cluster.deleteJob(action.uid);
    this.#isDeleted = true;
    const { completionTime = '', state } = this.#status;
    const ttl = this.cluster.job.spec.ttlSecondsAfterFinished ?? Infinity;
    const age = (Date.parse(this.cluster.now) - Date.parse(completionTime)) / 1000;
    this.#rule(`deleted in state ${state} after ${age} of ${ttl} s`, !(age >= ttl));
  }

  #create(attempt: number): void {
    const { cluster } = this;
    if (cluster.jobs.some(({ metadata }) => metadata.name === `quickstart-${attempt}`)) return;
    this.#rule(`attempt ${attempt} was made of a job that is over`, isOver(this.#status));
    this.#rule(`attempt ${attempt} was made before it was written`, this.#status.attempt !== attempt);
    this.#rule(`attempt ${attempt} was made while suspended`, cluster.job.spec.suspend);
    const before = cluster.jobs.filter((one) => !cluster.isLost(one));
    this.#rule(`attempt ${attempt} was made beside ${before[0]?.metadata.name}`, before.length > 0);
    const { pod } = cluster;
    this.#rule(`attempt ${attempt} was made beside ${pod?.metadata.name}`, pod !== undefined && !cluster.isLost(pod));
    cluster.createJob(attempt);
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
