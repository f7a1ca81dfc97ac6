import { expect, test } from '@jest/globals';
import { assert, property } from 'fast-check';
import { playCourse } from '../operator/decide/courses.ts';
import { aCourse } from '../operator/decide/steps.ts';

test('whatever users, pods, clocks and the network do: one Job lives at most, terminal stays terminal, nothing is counted wrong', () => {
  assert(
    property(aCourse, (steps) => expect(playCourse(steps).problems).toEqual([])),
    { numRuns: 2000 },
  );
});
