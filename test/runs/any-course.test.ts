import { expect, test } from '@jest/globals';
import { assert, property } from 'fast-check';
import { playCourse } from '../operator/decide/courses.ts';
import { aCourse, aWornCourse } from '../operator/decide/steps.ts';

test('whatever users, pods, clocks and the network do: one Job lives at most, terminal stays terminal, nothing is counted wrong', () => {
  assert(
    property(aCourse, (steps) => expect(playCourse(steps).problems).toEqual([])),
    { numRuns: 2000 },
  );
});

test('restarts are bounded by the ends of pods, however wrong the clock is by which the operator gave up', () => {
  assert(
    property(aWornCourse, (steps) => {
      const course = playCourse(steps);
      expect(course.problems).toEqual([]);
      expect(['RestartsWithoutProgress', 'deleted']).toContain(course.summary());
    }),
    { numRuns: 200 },
  );
});
