import { expect, test } from '@jest/globals';
import type { Progress } from '../../../crds/progress.ts';
import { dataFindingsName, dataMeasureNames, droppedRowsName } from '../../../trainer-image/metrics/names.ts';
import { TrainerMetrics } from '../../../trainer-image/metrics/registry.ts';

const progress: Progress = {
  podUID: 'a-uid',
  attempt: 1,
  heartbeat: 1,
  time: '2026-01-01T00:00:00Z',
  stage: 'Training',
  step: 3,
  totalSteps: 9,
  stageStep: 3,
  stageTotal: 9,
  epoch: 0.5,
  percent: 50,
  metrics: {},
  warnings: [],
};

test('what is known of the data is shown under its names, and nothing before it is known', async () => {
  const metrics = new TrainerMetrics({ namespace: 'team', dpojob: 'small' });
  metrics.update(progress);
  const labels = 'namespace="team",dpojob="small"';
  for (const name of [dataFindingsName, droppedRowsName, ...Object.values(dataMeasureNames)]) {
    expect(await metrics.registry.metrics()).not.toMatch(new RegExp(`^${name}\\{`, 'm'));
  }
  const measures = { lengthBias: 0.75, promptDiversity: 1, ngramDiversity: 0.5, labelNoise: 0.25 };
  const found = { DuplicateRows: 3, EmptyRows: 0 };
  metrics.update({
    ...progress,
    data: { pairs: 9, heldOut: 1, dropped: { DuplicateRows: 2 }, findings: found, measures },
  });
  const text = await metrics.registry.metrics();
  for (const [measure, name] of Object.entries(dataMeasureNames)) {
    expect(text).toContain(`${name}{${labels}} ${measures[measure as keyof typeof measures]}\n`);
  }
  expect(text).toContain(`${dataFindingsName}{reason="DuplicateRows",${labels}} 3\n`);
  expect(text).toContain(`${dataFindingsName}{reason="EmptyRows",${labels}} 0\n`);
  expect(text).toContain(`${droppedRowsName}{reason="DuplicateRows",${labels}} 2\n`);
});
