import { describe, expect, test } from '@jest/globals';
import { statusSchema, type DPOJobStatus } from '../../../crds/status.ts';
import { decide } from '../../../operator/decide/decide.ts';
import type { Observation } from '../../../operator/decide/observation.ts';
import {
  aChild,
  after,
  aJob,
  begun,
  condition,
  endedChild,
  endedPod,
  observed,
  roughRecord,
  runningPod,
  start,
} from '../observed.ts';

test('figures are kept to 6 significant digits, and none that is not finite', () => {
  const answer = { progress: roughRecord(7), heartbeatSince: start, answeredAt: after(7) };
  const { status } = decide(
    observed(aJob({}, begun()), { jobs: [aChild(1)], pods: [runningPod('a')], answer }),
    after(8),
  );
  expect(status.metrics).toEqual({ loss: 0.693147, beta: 0.1 });
  expect(status.progress).toMatchObject({ step: 7, epoch: 0.123457 });
  expect(condition(status, 'Training')).toBe('True');
});

test('the best step, an early stop and the comparison stand in status, and the stop is an Event once', () => {
  const best = { step: 4, metric: 'evalLoss' as const, value: 0.512345678, exported: true };
  const stoppedEarly = { step: 8, message: 'evalLoss did not improve' };
  const lengths = { tokens: 20.1234567, referenceTokens: 9 };
  const comparison = {
    prompts: 8,
    differing: 3,
    preferred: 2,
    ...lengths,
    repetition: 0,
    referenceRepetition: 0,
    kl: 0.1,
  };
  const report = 'pvc://models/out/report.html';
  const answer = {
    progress: { ...roughRecord(8), best, stoppedEarly, comparison, report },
    heartbeatSince: start,
    answeredAt: after(8),
  };
  const look = (status: DPOJobStatus): ReturnType<typeof decide> =>
    decide(observed(aJob({}, status), { jobs: [aChild(1)], pods: [runningPod('a')], answer }), after(9));
  const first = look(begun());
  expect(statusSchema.parse(first.status)).toMatchObject({
    best: { ...best, value: 0.512346 },
    stoppedEarly,
    comparison: { ...comparison, tokens: 20.1235 },
    report,
  });
  expect(first.events).toEqual([
    { type: 'Normal', reason: 'StoppedEarly', message: 'step 8: evalLoss did not improve' },
  ]);
  expect(look(first.status).events).toEqual([]);
});

describe('a warning of the trainer', () => {
  const warned = (...warnings: { reason: string; message: string }[]): Observation['answer'] => ({
    progress: { ...roughRecord(7), warnings },
    heartbeatSince: start,
    answeredAt: after(7),
  });
  const duplicates = { reason: 'DuplicateRows', message: '3 of 9 rows' };
  const bias = { reason: 'LengthBias', message: 'the longer answer' };
  const look = (status: DPOJobStatus, answer: Observation['answer']): ReturnType<typeof decide> =>
    decide(
      observed(aJob({}, status), { jobs: [aChild(1)], pods: [runningPod('a')], ...(answer && { answer }) }),
      after(8),
    );

  test('becomes an Event and stands in status', () => {
    const { events, status } = look(begun(), warned(duplicates));
    expect(events).toEqual([{ type: 'Warning', ...duplicates }]);
    expect(statusSchema.parse(status).warnings).toEqual([duplicates]);
  });

  test('is an Event once per reason, also when a restarted trainer says it again in other words', () => {
    const first = look(begun(), warned(duplicates)).status;
    expect(look(first, warned({ ...duplicates, message: '4 of 9 rows' }, bias)).events).toEqual([
      { type: 'Warning', ...bias },
    ]);
    expect(look(first, undefined)).toMatchObject({ events: [], status: { warnings: [duplicates] } });
  });

  test('that only the termination message of the last pod carries is not lost', () => {
    const record = { ...roughRecord(9), metrics: {}, warnings: [duplicates] };
    const pods = [endedPod('a', 65, 10, JSON.stringify({ reason: 'InvalidData', message: 'no', progress: record }))];
    const jobs = [endedChild(1, 'Failed', 'PodFailurePolicy')];
    const { events } = decide(observed(aJob({}, begun()), { jobs, pods }), after(11));
    expect(events.map(({ reason }) => reason)).toEqual(['DuplicateRows', 'InvalidData']);
  });

  test('beyond the sixteenth reason is left out: status stays small', () => {
    const many = Array.from({ length: 16 }, (_, i) => ({ reason: `Reason${i}`, message: '' }));
    const full = look(begun(), warned(...many)).status;
    const { events, status } = look(full, warned(bias));
    expect([events, status.warnings?.length]).toEqual([[], 16]);
  });
});
