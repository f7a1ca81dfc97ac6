import { expect, test } from '@jest/globals';
import type { DPOJobStatus } from '../../../crds/status.ts';
import { statusChange } from '../../../operator/decide/throttle.ts';
import { start } from '../observed.ts';

const progress = { stage: 'Training', step: 1, totalSteps: 9, epoch: 0, percent: 1, updateTime: start } as const;
const before: DPOJobStatus = { state: 'Running', attempt: 1, progress, metrics: { loss: 0.5, beta: 0.1 } };

test.each<[string, DPOJobStatus, string]>([
  ['the same in another order', { metrics: { beta: 0.1, loss: 0.5 }, progress, attempt: 1, state: 'Running' }, 'none'],
  ['a figure', { ...before, metrics: { loss: 0.4, beta: 0.1 } }, 'figures'],
  ['a step', { ...before, progress: { ...progress, step: 2 } }, 'figures'],
  ['a stage', { ...before, progress: { ...progress, stage: 'Evaluating' } }, 'state'],
  ['a state', { ...before, state: 'Restarting' }, 'state'],
  ['a best evaluation', { ...before, best: { step: 1, metric: 'evalLoss', value: 0.5, exported: true } }, 'figures'],
  ['what it trains on', { ...before, data: { pairs: 2, heldOut: 0, dropped: { Empty: 1 } } }, 'figures'],
  ['where its report is', { ...before, report: 'pvc://a/report.html' }, 'figures'],
  ['a checkpoint', { ...before, checkpoint: { step: 1, time: start } }, 'figures'],
])('%s', (_what, next, change) => {
  expect(statusChange(before, next)).toBe(change);
});
