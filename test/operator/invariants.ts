import type { DPOJobStatus } from '../../crds/status.ts';

const isTrue = ({ conditions = [] }: DPOJobStatus, type: string): boolean =>
  conditions.some((one) => one.type === type && one.status === 'True');
const over = (status: DPOJobStatus): boolean => status.state === 'Complete' || status.state === 'Failed';

/** What a status must never say, whatever happened (design.md, section 4). */
export function statusProblems(status: DPOJobStatus): string[] {
  const { state, completionTime, attempt = 0, lostAttempt = 0, restarts = 0, activeSeconds = 0 } = status;
  const told = ['Complete', 'Failed', 'Suspended'].filter((type) => isTrue(status, type));
  const rules: [string, boolean][] = [
    [`several ends at once: ${told.join(', ')}`, told.length > 1],
    [
      `state ${state} but Complete is ${isTrue(status, 'Complete')}`,
      (state === 'Complete') !== isTrue(status, 'Complete'),
    ],
    [`state ${state} but Failed is ${isTrue(status, 'Failed')}`, (state === 'Failed') !== isTrue(status, 'Failed')],
    [`state ${state} but Suspended is True`, isTrue(status, 'Suspended') && state !== 'Suspended'],
    ['over without completionTime, or the other way round', over(status) !== (completionTime !== undefined)],
    ['an attempt that is lost was not begun', lostAttempt > attempt],
    ['a count below zero', Math.min(restarts, activeSeconds, status.trainerSeconds ?? 0) < 0],
    ['pods ready although the job is over', over(status) && isTrue(status, 'PodsReady')],
  ];
  return rules.filter(([, broken]) => broken).map(([problem]) => problem);
}

/** What must never become of a status from one write to the next. */
export function changeProblems(before: DPOJobStatus, after: DPOJobStatus): string[] {
  const falls = (count: (status: DPOJobStatus) => number | undefined): boolean =>
    (count(after) ?? 0) < (count(before) ?? 0);
  const rules: [string, boolean][] = [
    [`was ${before.state} and is ${after.state}`, over(before) && before.state !== after.state],
    ['the time of completion changed', over(before) && before.completionTime !== after.completionTime],
    [`attempt ${before.attempt} and then ${after.attempt}`, falls(({ attempt }) => attempt)],
    [`restarts ${before.restarts} and then ${after.restarts}`, falls(({ restarts }) => restarts)],
    ['the checkpoint went back', falls(({ checkpoint }) => checkpoint?.step)],
    ['the time of start changed', before.startTime !== undefined && before.startTime !== after.startTime],
    ['seconds went back', falls(({ activeSeconds }) => activeSeconds)],
  ];
  return [...rules.filter(([, broken]) => broken).map(([problem]) => problem), ...statusProblems(after)];
}
