import { describe, expect, test } from '@jest/globals';
import { bucketOf, growth, percentile, samplesOf, slope } from '../bench/scale/stats.ts';

const requests = (get: number, patch: number): string => `# HELP rest_client_requests_total Requests
rest_client_requests_total{method="GET",code="200"} ${get}
rest_client_requests_total{method="PATCH",code="200"} ${patch}
rest_client_requests_total{method="PATCH",code="409"} 1
rest_client_requests_total_other{method="GET"} 7
depth 3
`;
const spent = (fast: number, slow: number, all: number): string => `
spent_bucket{le="0.01",controller="a"} ${fast}
spent_bucket{le="0.1",controller="a"} ${slow}
spent_bucket{le="+Inf",controller="a"} ${all}
`;

describe('the figures of the scale benchmark', () => {
  test.each([
    [0.5, 50],
    [0.99, 99],
    [1, 100],
    [0, 1],
  ])('the %d quantile of 1 to 100 is %d', (share, value) => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(values, share)).toBe(value);
  });

  test('no values have no quantile', () => expect(() => percentile([], 0.5)).toThrow(RangeError));

  test('the slope is that of the line with the least squares', () => {
    const points = [
      [0, 1],
      [1, 2],
      [2, 6],
    ] as const;
    // Worked by hand: sum((x - 1)(y - 3)) / sum((x - 1)^2) = 5 / 2.
    expect(slope(points)).toBeCloseTo(2.5, 12);
  });

  test('samples are read with their labels, and those of a longer name are not', () => {
    expect(samplesOf(requests(1, 2), 'rest_client_requests_total')).toHaveLength(3);
    expect(samplesOf(requests(1, 2), 'rest_client_requests_total')[0]).toEqual({
      labels: { method: 'GET', code: '200' },
      value: 1,
    });
    expect(samplesOf(requests(1, 2), 'depth')).toEqual([{ labels: {}, value: 3 }]);
  });

  test('growth is summed by a label', () => {
    const grown = growth(requests(10, 5), requests(12, 9), 'rest_client_requests_total', 'method');
    expect(grown).toEqual({ GET: 2, PATCH: 4 });
  });

  test('a share of what a histogram counted meanwhile lies at most at a bound', () => {
    // Meanwhile 90 up to 0.01, 9 up to 0.1, and one above.
    const [before, after] = [spent(50, 60, 60), spent(140, 159, 160)];
    expect([0.5, 0.9, 0.99, 1].map((share) => bucketOf(before, after, 'spent', share))).toEqual([
      0.01,
      0.01,
      0.1,
      Infinity,
    ]);
  });
});
