import { describe, expect, test } from '@jest/globals';
import { prepareEnvironment, threadLimit } from '../../../trainer-image/engine/environment.ts';
import { applyHooks, hooks } from '../../../trainer-image/engine/native/hooks.ts';

describe('threads', () => {
  test.each([
    ['max 100000', 8, 8],
    ['200000 100000', 8, 2],
    ['150000 100000', 8, 2],
    ['50000 100000', 8, 1],
    ['1600000 100000', 8, 8],
    ['', 4, 4],
  ])('with the cgroup quota "%s" on %d cores are %d', (quota, cores, threads) => {
    expect(threadLimit(quota, cores)).toBe(threads);
  });
});

test.each([
  [undefined, '0'],
  ['1', '1'],
])(
  'with NVIDIA_TF32_OVERRIDE %s, GPUs multiply by %s: float32 is whole unless the user says otherwise',
  (set, expected) => {
    const before = { ...process.env };
    delete process.env['NVIDIA_TF32_OVERRIDE'];
    if (set !== undefined) process.env['NVIDIA_TF32_OVERRIDE'] = set;
    prepareEnvironment({ threads: 1 });
    const found = process.env['NVIDIA_TF32_OVERRIDE'];
    process.env = before;
    expect(found).toBe(expected);
  },
);

test.each([
  [true, '1'],
  [false, undefined],
])('fullDeterminism %s sets TF_DETERMINISTIC_OPS to %s', (deterministic, expected) => {
  const before = { ...process.env };
  delete process.env['TF_DETERMINISTIC_OPS'];
  prepareEnvironment({ threads: 1, deterministic });
  const found = process.env['TF_DETERMINISTIC_OPS'];
  process.env = before;
  expect(found).toBe(expected);
});

describe('a hook into the binding', () => {
  const { file, find, replace } = hooks[1] as (typeof hooks)[number];

  test('replaces the text that stands once', () => {
    expect(applyHooks(file, `a\n#include "tensorflow/c/eager/c_api.h"\n${find}\nb`)).toContain(replace);
  });

  test.each(['nothing', `${find} ${find}`])('is refused when the source is another one: %s', (source) => {
    expect(() => applyHooks(file, source)).toThrow(/is not the one this was written for/);
  });
});
