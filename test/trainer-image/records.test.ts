import { describe, expect, test } from '@jest/globals';
import {
  maxProgressBytes,
  maxTerminationBytes,
  maxWarningLength,
  maxWarnings,
  metricsSchema,
  progressSchema,
  terminationMessageSchema,
  type Progress,
} from '../../crds/progress.ts';
import { counted, progressBody, terminationBody } from '../../trainer-image/records.ts';

/** A record with every figure, and as many warnings as there may be, as long as they may be, of the given letter. */
const fullest = (letter: string, warnings = maxWarnings): Progress => ({
  podUID: '2f0f9a3c-30b0-4b51-8f0e-6a3f6bb1a6b1',
  attempt: 1,
  heartbeat: 123_456,
  time: '2026-01-01T00:00:00.000Z',
  stage: 'Training',
  step: 123_456,
  totalSteps: 123_456,
  stageStep: 123_456,
  stageTotal: 123_456,
  epoch: 1 / 3,
  percent: 100 / 3,
  metrics: Object.fromEntries(Object.keys(metricsSchema.shape).map((name) => [name, -100 / 3])),
  data: { pairs: 123_456, heldOut: 123_456, dropped: { PromptTooLong: 12, EmptyCompletion: 34 } },
  checkpoint: { step: 123_456, time: '2026-01-01T00:00:00.000Z' },
  warnings: Array.from({ length: warnings }, (_, i) => ({
    reason: `Reason${i}`,
    message: letter.repeat(maxWarningLength / letter.length),
  })),
});

describe.each(['x', 'ä', '漢', '😀', '\u0001'])('records full of warnings in letters like %j', (letter) => {
  const progress = fullest(letter);

  test('fit what the operator reads of /progress, figures whole', () => {
    const body = progressBody(progress);
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(maxProgressBytes);
    const { warnings: own, ...figures } = progressSchema.parse(JSON.parse(body));
    const { warnings, ...expected } = progress;
    expect(figures).toEqual(expected);
    expect(own.at(-1)?.reason).toBe(warnings.at(-1)?.reason);
  });

  test('fit a termination message, figures whole', () => {
    const body = terminationBody('NonFinite', letter.repeat(2000), progress);
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(maxTerminationBytes);
    const record = terminationMessageSchema.parse(JSON.parse(body));
    expect(record).toMatchObject({ reason: 'NonFinite', progress: { metrics: progress.metrics, step: progress.step } });
    expect(record.message.startsWith(letter.repeat(100))).toBe(true);
  });
});

test('a record that fits is told whole', () => {
  const progress = fullest('x', 2);
  expect(JSON.parse(progressBody(progress))).toEqual(progress);
  expect(JSON.parse(terminationBody('Running', '', progress))).toEqual({ reason: 'Running', message: '', progress });
});

test.each([
  ['goes on in its stage', { stageStep: 5 }, [5, 48]],
  ['begins at 0 in a stage that tells none', { stage: 'Exporting' as const }, [0, 0]],
  ['begins where a new stage says', { stage: 'Training' as const, stageStep: 3, stageTotal: 6 }, [3, 6]],
  ['keeps an unknown total unknown', { stage: 'Data' as const, stageStep: 50, stageTotal: 0 }, [50, 0]],
  ['never passes its total', { stageStep: 50 }, [50, 50]],
  ['stays where nothing is told of it', {}, [4, 48]],
])('the counter of a record %s', (_, part, expected) => {
  const { stageStep, stageTotal } = counted({ stage: 'Comparing', stageStep: 4, stageTotal: 48 }, part);
  expect([stageStep, stageTotal]).toEqual(expected);
});
