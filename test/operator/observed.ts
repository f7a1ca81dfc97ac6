import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { ConditionType } from '../../crds/conditions.ts';
import { specSchema } from '../../crds/dpojob.ts';
import type { DPOJob, DPOJobSpecInput } from '../../crds/dpojob.ts';
import type { Condition, DPOJobStatus } from '../../crds/status.ts';
import { labels } from '../../crds/labels.ts';
import type { Progress } from '../../crds/progress.ts';
import { decide } from '../../operator/decide/decide.ts';
import type { Answer, Decision, Observation, ObservedJob, ObservedPod } from '../../operator/decide/observation.ts';

export const images = { trainer: 'trainer:test', gpu: 'trainer-gpu:test' };
export const start = '2026-01-01T00:00:00.000Z';

/** The time so many seconds after `start`. */
export const after = (seconds: number): string => new Date(Date.parse(start) + seconds * 1000).toISOString();

const { spec: quickstart } = parse(
  readFileSync(new URL('../../crds/examples/quickstart.yaml', import.meta.url), 'utf8'),
) as { spec: DPOJobSpecInput };

/** The shipped quickstart example as the API server would store it, with changes. */
export function aJob(changes: Partial<DPOJobSpecInput> = {}, status?: DPOJobStatus): DPOJob {
  return {
    apiVersion: 'training.dpo-operator.io/v1alpha1',
    kind: 'DPOJob',
    metadata: { name: 'quickstart', namespace: 'team', uid: 'job-uid', generation: 1, creationTimestamp: start },
    spec: specSchema.parse({ ...structuredClone(quickstart), ...changes }),
    ...(status === undefined ? {} : { status }),
  };
}

export function aChild(attempt: number, changes: Partial<ObservedJob> = {}): ObservedJob {
  const metadata = {
    name: `quickstart-${attempt}`,
    uid: `child-${attempt}`,
    labels: { [labels.attempt]: String(attempt) },
  };
  return { metadata, ...changes };
}

/** A child Job that ended, as the Job controller says it. */
export function endedChild(attempt: number, type: 'Complete' | 'Failed', reason = type as string): ObservedJob {
  return aChild(attempt, { status: { conditions: [{ type, status: 'True', reason, message: `job ${reason}` }] } });
}

/** A pod whose trainer ended with an exit code `seconds` after the start. */
export function endedPod(name: string, exitCode: number, seconds: number, message = ''): ObservedPod {
  const terminated = {
    exitCode,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    message,
    startedAt: after(seconds - 5),
    finishedAt: after(seconds),
  };
  return {
    metadata: { name, uid: `${name}-uid`, creationTimestamp: after(seconds - 6) },
    status: {
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      containerStatuses: [{ name: 'trainer', state: { terminated } }],
    },
  };
}

export function runningPod(name: string): ObservedPod {
  const state = { running: { startedAt: start } };
  return {
    metadata: { name, uid: `${name}-uid`, creationTimestamp: start },
    status: { phase: 'Running', podIP: '10.0.0.1', containerStatuses: [{ name: 'trainer', state }] },
  };
}

export function observed(job: DPOJob, rest: Partial<Observation> = {}): Observation {
  return { job, jobs: [], pods: [], images, ...rest };
}

/** A trainer's record at a step; it was made as many seconds after the start. */
export function aRecord(pod: string, step: number, rest: Partial<Progress> = {}): Progress {
  return {
    podUID: `${pod}-uid`,
    attempt: 1,
    heartbeat: step,
    time: after(step),
    stage: 'Training',
    step,
    totalSteps: 100,
    stageStep: step,
    stageTotal: 100,
    epoch: 0,
    percent: Math.min(step, 100),
    metrics: { beta: 0.1 },
    warnings: [],
    ...rest,
  };
}

/** What a trainer answered `seconds` after the start, the first time with this heartbeat. */
export const anAnswer = (progress: Progress, seconds = progress.step): Answer => ({
  progress,
  answeredAt: after(seconds),
  heartbeatSince: after(seconds),
});

/** What a trainer leaves as its termination message. */
export const leaves = (reason: string, progress?: Progress, message = ''): string =>
  JSON.stringify({ reason, message, ...(progress && { progress }) });

/** A pod that waits for a node. */
export function pendingPod(name: string): ObservedPod {
  const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no GPU' };
  return {
    metadata: { name, uid: `${name}-uid`, creationTimestamp: start },
    status: { phase: 'Pending', conditions: [condition] },
  };
}

/** The same pod with another container listed before the trainer's, as a service mesh makes it. */
export function withSidecar(pod: ObservedPod): ObservedPod {
  const sidecar = { name: 'mesh', state: { running: { startedAt: start } } };
  return { ...pod, status: { ...pod.status, containerStatuses: [sidecar, ...(pod.status?.containerStatuses ?? [])] } };
}

/** Plays a job from its start: each look sees what is given and the status that the look before left. */
export function play(job: DPOJob, looks: [seconds: number, seen: Partial<Observation>][]): Decision {
  let decision: Decision = { status: job.status ?? {}, actions: [], events: [] };
  for (const [seconds, seen] of looks) {
    decision = decide(observed({ ...job, status: decision.status }, seen), after(seconds));
  }
  return decision;
}

export const conditionOf = (status: DPOJobStatus, type: ConditionType): Condition | undefined =>
  status.conditions?.find((one) => one.type === type);

/** A trainer's record with figures that status does not keep as they are. */
export const roughRecord = (step: number): ReturnType<typeof aRecord> =>
  aRecord('a', step, { epoch: 0.123456789, metrics: { loss: 0.693147181, beta: 0.1, rewardMargin: Number.NaN } });

/** The status of a job whose first attempt began at `start`. */
export const begun = (job: DPOJob = aJob()): DPOJobStatus => decide(observed(job), start).status;
export const condition = (status: DPOJobStatus, type: ConditionType): Condition['status'] | undefined =>
  conditionOf(status, type)?.status;
