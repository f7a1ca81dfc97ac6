import type { ConditionType } from '../../crds/conditions.ts';
import type { DPOJobStatus } from '../../crds/status.ts';
import { isWaitReason, waitReasons } from '../../crds/conditions.ts';
import { isEphemeral } from '../../crds/output.ts';
import { accepted } from './accepted.ts';
import { amiss } from './amiss.ts';
import { conditions, isTrue, storedCondition } from './conditions.ts';
import type { Statement } from './conditions.ts';
import { trainerStart } from './deadline.ts';
import type { Observation } from './observation.ts';
import { nodeLost } from './lost-node.ts';
import { podsReady } from './ready.ts';
import { definedOnly, liveProgress, reported } from './progress.ts';
import { countRestarts, newer } from './retry.ts';
import { newWarnings } from './warnings.ts';

/** How far the job is, as the decision sees it. */
export type Phase =
  | { phase: 'Active' }
  | { phase: 'Suspending' | 'Suspended' }
  | { phase: 'Complete' }
  | { phase: 'Failed'; reason: string; message: string };

/**
 * Status after one look: what was reported, what was counted, and the conditions that follow from the phase. `begins` is
 * what a new attempt brings: pods that are seen with it belong to the one before.
 */
export function nextStatus(
  observation: Observation,
  phase: Phase,
  now: string,
  begins: Partial<DPOJobStatus> = {},
): DPOJobStatus {
  const { job } = observation;
  const said = reported(observation);
  const counted = countRestarts(observation);
  const checkpoint = newer(counted.checkpoint, said.checkpoint);
  const warnings = [...(job.status?.warnings ?? []), ...newWarnings(observation)];
  const trainerStartTime = trainerStart(observation);
  const statements = stateAll(observation, phase, now);
  const finished = phase.phase === 'Complete' || phase.phase === 'Failed';
  const { reason: _reason, message: _message, ...before } = job.status ?? {};
  const state = stateWord(observation, phase, statements.PodsReady);
  return {
    ...before,
    ...said,
    ...counted,
    ...definedOnly({ checkpoint, warnings: warnings.length === 0 ? undefined : warnings, trainerStartTime }),
    ...begins,
    conditions: conditions(job, statements, now),
    observedGeneration: job.metadata.generation ?? 0,
    state,
    ...amiss(statements, state, begins.lastFailure ?? counted.lastFailure),
    ...(finished ? { completionTime: job.status?.completionTime ?? now } : {}),
  };
}

function stateAll(observation: Observation, phase: Phase, now: string): Record<ConditionType, Statement> {
  const active = phase.phase === 'Active';
  const stopping = phase.phase === 'Suspending';
  const idle: Statement = { status: 'False', reason: phase.phase };
  const ready = active ? podsReady(observation, now) : (stopping && nodeLost(observation, now)) || idle;
  return {
    Accepted: accepted(observation),
    PodsReady: ready,
    Training: active ? training(observation, ready) : idle,
    Suspended: suspended(observation, phase),
    Complete: { status: phase.phase === 'Complete' ? 'True' : 'False', reason: finishedReason(phase, 'Complete') },
    Failed:
      phase.phase === 'Failed'
        ? { status: 'True', reason: phase.reason, message: phase.message }
        : { status: 'False', reason: finishedReason(phase, 'Failed') },
  };
}

/** Whether the pod that is ready is past loading. Until it answers a new leader, what was said of the same pod stays. */
function training(observation: Observation, ready: Statement): Statement {
  const { job } = observation;
  const samePod = isTrue(job, 'PodsReady') && storedCondition(job, 'PodsReady')?.message === ready.message;
  const stage = liveProgress(observation)?.stage;
  const stays = stage === undefined && samePod && isTrue(job, 'Training');
  return ready.status === 'True' && (stays || (stage !== undefined && stage !== 'Loading'))
    ? { status: 'True', reason: 'Training' }
    : { status: 'False', reason: 'NotStarted' };
}

function suspended({ job }: Observation, { phase }: Phase): Statement {
  if (phase === 'Suspended') {
    const kept = isEphemeral(job.spec) ? 'nothing is kept' : 'the checkpoint is kept';
    return { status: 'True', reason: 'Suspended', message: `stopped by spec.suspend; ${kept}` };
  }
  return { status: 'False', reason: phase === 'Suspending' ? 'Suspending' : 'NotSuspended' };
}

function finishedReason({ phase }: Phase, type: 'Complete' | 'Failed'): string {
  return phase === type ? type : `Not${type}`;
}

/** One word for people. */
function stateWord({ pods }: Observation, { phase }: Phase, ready: Statement): NonNullable<DPOJobStatus['state']> {
  if (phase !== 'Active') {
    return ready.reason === 'NodeLost' ? 'NodeLost' : phase;
  }
  // Between the trainer's end and the Job's word of it nothing is pending.
  if (ready.status === 'True' || ready.reason === 'Succeeded') {
    return 'Running';
  }
  if (ready.reason === 'Queued' || ready.reason === 'NodeLost') {
    return ready.reason;
  }
  // A pod that ended in this attempt: another is on its way.
  if (pods.some((pod) => pod.status?.phase === 'Failed')) {
    return 'Restarting';
  }
  if (isWaitReason(ready.reason)) {
    return waitReasons[ready.reason].state;
  }
  return ['NoPod', 'SchedulerError', 'SchedulingGated'].includes(ready.reason) ? 'Pending' : 'Starting';
}
