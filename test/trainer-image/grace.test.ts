import { expect, test } from '@jest/globals';
import type { Stage } from '../../crds/progress.ts';
import { GraceWatch } from '../../trainer-image/stages/grace.ts';

type Beat = [stage: Stage, at: number, save?: number];

test.each<[string, Beat[], RegExp | undefined]>([
  [
    'work of 20 s and a save of 11 s',
    [
      ['Training', 0],
      ['Training', 20],
      ['Training', 32, 11],
    ],
    /20 s .* 11 s .*\(60\)/,
  ],
  [
    'work of 20 s and a save of 9 s',
    [
      ['Training', 0],
      ['Training', 20],
      ['Training', 30, 9],
    ],
    undefined,
  ],
  [
    'a save of 31 s, not counted as work too',
    [
      ['SFT', 0],
      ['SFT', 32, 31],
    ],
    /1 s .* 31 s/,
  ],
  [
    'long loading, which saves nothing',
    [
      ['Loading', 0],
      ['Loading', 300],
      ['Training', 301],
      ['Training', 303, 1],
    ],
    undefined,
  ],
  [
    'long work before any save is known',
    [
      ['Training', 0],
      ['Training', 50],
    ],
    undefined,
  ],
])('with a grace period of 60 s, %s', (_, beats, expected) => {
  const watch = new GraceWatch(60);
  const said = beats.map((beat) => watch.beat(...beat)).filter((message) => message !== undefined);
  expect(said.join()).toMatch(expected ?? /^$/);
});

test('it is said once', () => {
  const watch = new GraceWatch(10);
  expect([watch.beat('Training', 0, 9), watch.beat('Training', 20, 9)].filter(Boolean)).toHaveLength(1);
});
