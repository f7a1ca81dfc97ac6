import { describe, expect, test } from '@jest/globals';
import type { Observation } from '../../../operator/decide/observation.ts';
import { latestProgress } from '../../../operator/decide/progress.ts';
import {
  aChild,
  aJob,
  anAnswer,
  aRecord,
  conditionOf,
  endedPod,
  leaves,
  observed,
  pendingPod,
  play,
  runningPod,
  after,
} from '../observed.ts';

const jobs = [aChild(1)];
const training = { jobs, pods: [runningPod('a')], answer: anAnswer(aRecord('a', 5)) };

describe('Training', () => {
  test.each<[string, [number, Partial<Observation>][], string]>([
    ['the trainer answered and is past loading', [[10, training]], 'True'],
    [
      'a new leader has no answer yet',
      [
        [10, training],
        [20, { jobs, pods: [runningPod('a')] }],
      ],
      'True',
    ],
    [
      'another pod runs and has not answered',
      [
        [10, training],
        [20, { jobs, pods: [runningPod('b')] }],
      ],
      'False',
    ],
    [
      'another pod runs and only the one before it has answered',
      [
        [10, training],
        [20, { ...training, pods: [endedPod('a', 1, 15), runningPod('b')] }],
      ],
      'False',
    ],
    [
      'another pod loads after one that trained',
      [
        [10, training],
        [
          20,
          {
            jobs,
            pods: [endedPod('a', 1, 15, leaves('InternalError', aRecord('a', 6))), runningPod('b')],
            answer: anAnswer(aRecord('b', 1, { stage: 'Loading' })),
          },
        ],
      ],
      'False',
    ],
    [
      'its pod waits for a node',
      [
        [10, training],
        [20, { jobs, pods: [pendingPod('b')] }],
      ],
      'False',
    ],
    ['it loads', [[10, { ...training, answer: anAnswer(aRecord('a', 1, { stage: 'Loading' })) }]], 'False'],
  ])('%s: %s', (_what, looks, status) => {
    expect(conditionOf(play(aJob(), [[0, {}], ...looks]).status, 'Training')?.status).toBe(status);
  });

  test('has changed once, when a new leader takes over', () => {
    const { status } = play(aJob(), [
      [0, {}],
      [10, training],
      [20, { jobs, pods: [runningPod('a')] }],
      [25, training],
    ]);
    expect(conditionOf(status, 'Training')?.lastTransitionTime).toBe(after(10));
  });
});

describe('the record that status shows', () => {
  const dead = (name: string, seconds: number, step: number): ReturnType<typeof endedPod> =>
    endedPod(name, 1, seconds, leaves('InternalError', aRecord(name, step)));
  test.each<[string, Partial<Observation>, number | undefined]>([
    [
      "is the live pod's, even when a dead one's clock went ahead",
      { pods: [dead('a', 15, 900), runningPod('b')], answer: anAnswer(aRecord('b', 3)) },
      3,
    ],
    ["is the last dead one's while the next has not answered", { pods: [dead('a', 15, 900), runningPod('b')] }, 900],
    ['is of the pod that ended last, not of the highest clock', { pods: [dead('b', 30, 3), dead('a', 15, 900)] }, 3],
    [
      'is the answer of a pod that left less when it died',
      { pods: [endedPod('a', 137, 15)], answer: anAnswer(aRecord('a', 14)) },
      14,
    ],
    ['is what it left, when that is newer', { pods: [dead('a', 15, 14)], answer: anAnswer(aRecord('a', 13)) }, 14],
    [
      'is what it left, when its heart beat no more since its answer',
      {
        pods: [endedPod('a', 0, 15, leaves('Complete', aRecord('a', 99, { heartbeat: 14 })))],
        answer: anAnswer(aRecord('a', 14)),
      },
      99,
    ],
    ['is none of another pod', { pods: [endedPod('a', 1, 15, leaves('Error', aRecord('x', 9)))] }, undefined],
  ])('%s', (_what, seen, step) => {
    expect(latestProgress(observed(aJob(), seen))?.step).toBe(step);
  });
});

test('the last words are those of the pod that was made last, whatever the clocks of nodes say of their ends', () => {
  const [first, second] = [
    endedPod('a', 1, 60, leaves('Running', aRecord('a', 7))),
    endedPod('b', 1, 30, leaves('Running', aRecord('b', 9))),
  ];
  first.metadata.creationTimestamp = after(1);
  const { status } = play(aJob(), [
    [0, {}],
    [31, { jobs, pods: [second, first] }],
  ]);
  expect(status.progress?.step).toBe(9);
});
