import { expect, test } from '@jest/globals';
import { isStale, isStuck } from '../../../operator/serve/health.ts';

test.each([
  ['all heard lately', [1, 60, 100], false, false],
  ['one silent for some minutes', [1, 200, 1], true, false],
  ['one dead while others talk', [1, 601, 1], true, true],
  ['the API server away: a restart would help nobody', [700, 650, 800], true, false],
  ['nothing watched yet', [], false, false],
])('%s: %j', (_title, ages, stale, stuck) => {
  expect([isStale(ages), isStuck(ages)]).toEqual([stale, stuck]);
});
