import type { ConditionType } from '../../crds/conditions.ts';
import type { DPOJobStatus } from '../../crds/dpojob.ts';
import { conditions } from './conditions.ts';
import type { Statement } from './conditions.ts';
import { trainerStart } from './deadline.ts';
import type { Observation } from './observation.ts';
import { podsReady } from './pods.ts';
import { definedOnly, hasBegun, reported } from './progress.ts';
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
  const counted = countRestarts(job.status ?? {}, observation.pods);
  const checkpoint = newer(counted.checkpoint, said.checkpoint);
  const warnings = [...(job.status?.warnings ?? []), ...newWarnings(observation)];
  const trainerStartTime = trainerStart(observation);
  const statements = stateAll(observation, phase);
  const finished = phase.phase === 'Complete' || phase.phase === 'Failed';
  return {
    ...job.status,
    ...said,
    ...counted,
    ...definedOnly({ checkpoint, warnings: warnings.length === 0 ? undefined : warnings, trainerStartTime }),
    ...begins,
    conditions: conditions(job, statements, now),
    observedGeneration: job.metadata.generation ?? 0,
    state: stateWord(observation, phase, counted.restarts ?? 0),
    ...(finished ? { completionTime: job.status?.completionTime ?? now } : {}),
  };
}

function stateAll(observation: Observation, phase: Phase): Record<ConditionType, Statement> {
  const active = phase.phase === 'Active';
  const idle: Statement = { status: 'False', reason: phase.phase };
  const ready = active ? podsReady(observation) : idle;
  const training = ready.status === 'True' && hasBegun(observation);
  const begun: Statement = { status: training ? 'True' : 'False', reason: training ? 'Training' : 'NotStarted' };
  return {
    Accepted: { status: 'True', reason: 'Accepted' },
    PodsReady: ready,
    Training: active ? begun : idle,
    Suspended: suspended(phase),
    Complete: { status: phase.phase === 'Complete' ? 'True' : 'False', reason: finishedReason(phase, 'Complete') },
    Failed:
      phase.phase === 'Failed'
        ? { status: 'True', reason: phase.reason, message: phase.message }
        : { status: 'False', reason: finishedReason(phase, 'Failed') },
  };
}

function suspended({ phase }: Phase): Statement {
  if (phase === 'Suspended') {
    return { status: 'True', reason: 'Suspended', message: 'stopped by spec.suspend; the checkpoint is kept' };
  }
  return { status: 'False', reason: phase === 'Suspending' ? 'Suspending' : 'NotSuspended' };
}

function finishedReason({ phase }: Phase, type: 'Complete' | 'Failed'): string {
  return phase === type ? type : `Not${type}`;
}

/** One word for people. */
function stateWord(observation: Observation, { phase }: Phase, restarts: number): NonNullable<DPOJobStatus['state']> {
  if (phase !== 'Active') {
    return phase === 'Suspending' ? 'Suspended' : phase;
  }
  const { status, reason } = podsReady(observation);
  if (status === 'True') {
    return 'Running';
  }
  if (reason === 'Queued') {
    return 'Queued';
  }
  // A pod that ended in this attempt: another is on its way.
  if (restarts > 0 && observation.pods.some((pod) => pod.status?.phase === 'Failed')) {
    return 'Restarting';
  }
  return ['NoPod', 'Unschedulable', 'SchedulerError', 'SchedulingGated'].includes(reason) ? 'Pending' : 'Starting';
}
