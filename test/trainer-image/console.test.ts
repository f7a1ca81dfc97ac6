import { expect, test } from '@jest/globals';
import type { Progress } from '../../crds/progress.ts';
import { barOf, logFields, resultOf } from '../../trainer-image/console.ts';

const progress: Progress = {
  podUID: 'pod',
  attempt: 1,
  heartbeat: 1,
  time: '2026-01-01T00:00:00.000Z',
  stage: 'Training',
  step: 30,
  totalSteps: 60,
  stageStep: 30,
  stageTotal: 60,
  epoch: 0.5,
  percent: 50,
  etaSeconds: 65,
  metrics: { loss: 0.5, rewardMargin: 0.25, rewardAccuracy: 0.75, evalRewardAccuracy: 0.875, sftLoss: 2 },
  warnings: [],
};

test.each([
  [
    'training, with the held-out accuracy where there is one',
    progress,
    '████████████░░░░░░░░░░░░  50 % Training 30/60  loss 0.5000 margin 0.2500 accuracy 0.875 1:05 left',
  ],
  [
    'fine-tuning, with its own loss',
    { ...progress, stage: 'SFT' as const, percent: 12.5, stageStep: 5, stageTotal: 20 },
    '███░░░░░░░░░░░░░░░░░░░░░  13 % SFT 5/20  loss 2.000 1:05 left',
  ],
  [
    'the start, where nothing is known yet',
    { ...progress, stage: 'Loading' as const, percent: 0, stageTotal: 0, metrics: {}, etaSeconds: undefined },
    '░░░░░░░░░░░░░░░░░░░░░░░░   0 % Loading  loss - margin - accuracy -',
  ],
])('the line on a terminal shows %s', (_, record, line) => {
  expect(barOf(record as Progress)).toBe(line);
});

test('a line of a log begins with where the run stands and the figures that are looked for', () => {
  const metrics = { beta: 0.1, evalLoss: 0.3, loss: 0.123456789, rewardMargin: 1 / 3 };
  expect(JSON.stringify(logFields({ ...progress, metrics }))).toBe(
    '{"stage":"Training","stageStep":30,"stageTotal":60,"step":30,"percent":50,' +
      '"loss":0.123457,"rewardMargin":0.333333,"beta":0.1,"evalLoss":0.3}',
  );
});

test('a run ends with its figures, and where the model and the report lie', () => {
  const { comparison: _, ...plain } = progress;
  expect(resultOf(plain, 'volumes/models/out')).toBe(
    'loss 0.500, held-out accuracy 0.875; the model is in volumes/models/out',
  );
  const comparison = { prompts: 1 } as unknown as NonNullable<Progress['comparison']>;
  expect(resultOf({ ...plain, comparison }, 'out')).toMatch(/; answers compared in out.report.html$/);
});
