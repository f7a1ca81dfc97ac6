import { describe, expect, test } from '@jest/globals';
import type { BestMetric } from '../../../crds/progress.ts';
import { exportsBest, judge, type Standing } from '../../../trainer-image/metrics/best.ts';

/** The standing after each value, evaluated at steps 10, 20, ... */
function follow(values: number[], metric: BestMetric, minDelta = 0): (Standing | undefined)[] {
  const standings: (Standing | undefined)[] = [];
  values.forEach((value, i) => {
    standings.push(judge(standings.at(-1), { step: (i + 1) * 10, value }, { metric, minDelta }));
  });
  return standings;
}

describe('the best evaluation', () => {
  const cases: [BestMetric, number[], number, number][] = [
    ['evalLoss', [0.6, 0.5, 0.55, 0.52], 20, 2],
    ['evalLoss', [0.6, 0.7, 0.4], 30, 0],
    ['evalRewardAccuracy', [0.6, 0.7, 0.7], 20, 1],
    ['evalRewardMargin', [-0.1, 0.2, 0.1], 20, 1],
    ['evalRewardMargin', [0.3, 0.2, 0.1], 10, 2],
  ];
  test.each(cases)('by %s of %j is that of step %d, with %d evaluations since', (metric, values, step, withoutGain) => {
    expect(follow(values, metric).at(-1)).toMatchObject({ step, withoutGain, value: values[step / 10 - 1] });
  });

  test('moves with every gain, while patience counts those of at most minDelta as none', () => {
    // Gains of 0.02, 0.02 and 0.05 over the best before, against minDelta 0.03.
    const standings = follow([0.6, 0.58, 0.56, 0.51], 'evalLoss', 0.03);
    expect(standings.map((one) => [one?.step, one?.withoutGain])).toEqual([
      [10, 0],
      [20, 1],
      [30, 2],
      [40, 0],
    ]);
  });

  test('is never one whose figure is not a number', () => {
    expect(follow([NaN, 0.5, NaN], 'evalLoss')).toEqual([
      undefined,
      { step: 20, value: 0.5, withoutGain: 0 },
      { step: 20, value: 0.5, withoutGain: 1 },
    ]);
  });
});

test.each([
  [{}, false],
  [{ earlyStopping: { patience: 3, minDelta: 0 } }, true],
  [{ earlyStopping: { patience: 3, minDelta: 0 }, loadBestModelAtEnd: false }, false],
  [{ loadBestModelAtEnd: true }, true],
])('with %j the best weights are exported: %s', (evaluation, expected) => {
  expect(exportsBest(evaluation)).toBe(expected);
});
