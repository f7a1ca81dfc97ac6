import { describe, expect, test } from '@jest/globals';
import { rivals } from '../bench/against.ts';
import { Calls, matmulWork } from '../bench/calls.ts';
import {
  cases,
  duelSteps,
  epochPairs,
  longest,
  maxLength,
  probeSteps,
  typicalGroups,
  type Lengths,
  type Setting,
} from '../bench/cases.ts';
import { checkEqualWork, checkHeldOut } from '../bench/equal-work.ts';
import { median, ratioOf, speedOf } from '../bench/figures.ts';
import type { StepFigures } from '../bench/side.ts';
import { stepWork, tokensOf } from '../bench/work.ts';

const step = (figures: Partial<StepFigures>): StepFigures => ({
  event: 'step',
  step: 1,
  loss: 0.5,
  gradNorm: 2,
  seconds: 1,
  cpuSeconds: 2,
  peakMiB: 100,
  ...figures,
});

describe('the work that must be done', () => {
  const shape = {
    num_hidden_layers: 1,
    hidden_size: 2,
    intermediate_size: 3,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    vocab_size: 5,
  };
  const pairs: Lengths[] = [[1, 1, 1]];

  test('is that of three tokens, two of them predicted, of a layer with 30 weights', () => {
    // 2 (2 + 1 + 1 + 2) + 3 (2 + 2 + 2) = 30 weights; 6 (3 x 30 + 2 x 2 x 5) = 660; the prompt sees 1 key, each answer 2.
    expect(stepWork(pairs, shape)).toBe(660 + 12 * 2 * 5);
  });

  test('has no gradient of weights with adapters but those of the adapters', () => {
    // Rank 1: in + out of all dense layers is 4 + 3 + 3 + 4 + 5 + 5 + 5 = 29.
    expect(stepWork(pairs, shape, { rank: 1 })).toBe(440 + 6 * 3 * 29 + 12 * 2 * 5);
  });

  test('of a matrix product is two operations for each of its numbers and inner positions', () => {
    expect(matmulWork([2, 3], false, [2, 4])).toBe(48);
    expect(matmulWork([7, 3, 2], true, [7, 2, 4])).toBe(7 * 48);
  });
});

describe('the pairs', () => {
  test('of typical steps are of like length, from long to short', () => {
    const groups = typicalGroups(Array.from({ length: 200 }, (_, i): Lengths => [10, i + 1, 1]));
    expect(groups.map((group) => group[0]?.[1])).toEqual([180, 140, 100, 60, 20]);
    expect(groups[0]).toEqual([180, 179, 178, 177].map((length) => [10, length, 1]));
  });

  test.each(Object.entries(cases))('of %s are the same in every setting, and none is truncated', (_, measured) => {
    const lengths = (steps: readonly (readonly Lengths[])[]): string[] =>
      steps
        .flat()
        .map((pair) => pair.join())
        .toSorted();
    for (const steps of [duelSteps, probeSteps]) {
      const bySetting = measured.settings.map((setting) => lengths(steps(measured, setting)));
      for (const each of bySetting) expect(each).toEqual(bySetting[0]);
    }
    expect(Math.max(...duelSteps(measured, 'batch 4').flat().map(longest))).toBeLessThanOrEqual(maxLength);
  });

  test('lie in a step together with others of unlike length unless TRL sorts them', () => {
    const spread = (steps: readonly (readonly Lengths[])[]): number =>
      Math.max(...steps.slice(2).map((pairs) => Math.max(...pairs.map((pair) => tokensOf([pair]))))) -
      Math.min(...steps.slice(2).map((pairs) => Math.max(...pairs.map((pair) => tokensOf([pair])))));
    expect(spread(duelSteps(cases.hh, 'group by length'))).toBeGreaterThan(spread(duelSteps(cases.hh, 'batch 4')));
  });
});

test('TRL takes the pairs of the epoch sorted by length only where its setting does', () => {
  const lengths = (setting: Setting): number[] => epochPairs(setting).train.map(longest);
  const descending = (values: readonly number[]): number[] => values.toSorted((a, b) => b - a);
  expect(lengths('group by length')).toEqual(descending(lengths('batch 4')));
  expect(lengths('batch 4')).not.toEqual(lengths('group by length'));
  expect(epochPairs('batch 4').heldOut).toEqual(epochPairs('group by length').heldOut);
});

test("whichever of TRL's settings is within 10 % of its fastest has a duel", () => {
  const took = (seconds: number) => ({ seconds, peakMiB: 1 });
  const lean = { 'batch 1 x 4, one arena': took(19) };
  expect(rivals({ 'batch 4': took(30), 'group by length': took(20), 'batch 1 x 4': took(21.9), ...lean })).toEqual([
    'group by length',
    'batch 1 x 4',
  ]);
});

describe('a duel', () => {
  const rounds = (seconds: readonly number[]): StepFigures[] => seconds.map((each) => step({ seconds: each }));

  test('counts neither of its first two rounds', () => {
    const steps: Lengths[][] = [9, 9, 1, 3].map((length) => [[length, length, length]]);
    expect(speedOf(steps, rounds([50, 50, 1, 3]))).toMatchObject({ pairsPerSecond: 0.5, tokensPerSecond: 3 });
    const ratio = ratioOf(rounds([9, 9, 6, 8]), rounds([1, 1, 2, 2]), ({ seconds }) => seconds);
    expect(ratio).toEqual({ median: 3.5, least: 3, most: 4, overall: 3.5 });
  });

  test('takes the middle of its rounds', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  test.each([
    ['another first loss', [{ loss: 0.501 }], 'step 1'],
    ['another gradient in the first step', [{ gradNorm: 2.01 }], 'step 1'],
    ['another loss later', [{}, { loss: 0.51 }], 'step 2'],
  ])('is no comparison with %s', (_, ours, where) => {
    const trl = ours.map(() => step({}));
    expect(() => checkEqualWork(trl, ours.map(step))).toThrow(`${where} is not the same work`);
    expect(() => checkEqualWork(trl, trl)).not.toThrow();
  });

  test('allows one hundredth of the held-out loss', () => {
    expect(() => checkHeldOut(0.6, 0.605)).not.toThrow();
    expect(() => checkHeldOut(0.6, 0.607)).toThrow('more than 1 % apart');
  });
});

test('a profile has the longest first', () => {
  const calls = new Calls('recorded');
  const time = (milliseconds: number) => ({ milliseconds, cpuMilliseconds: 2 * milliseconds });
  calls.add({ name: 'Mul', detail: 'Mul [1]', work: 0 }, time(1));
  calls.add({ name: 'MatMul', detail: 'MatMul [1]', work: 5 }, time(2));
  calls.add({ name: 'Mul', detail: 'Mul [2]', work: 0 }, time(3));
  expect(calls.profile().byName).toEqual([
    { name: 'Mul', calls: 2, milliseconds: 4, cpuMilliseconds: 8, work: 0 },
    { name: 'MatMul', calls: 1, milliseconds: 2, cpuMilliseconds: 4, work: 5 },
  ]);
  expect(calls.profile().byDetail[0]).toMatchObject({ name: 'Mul [2]', calls: 1 });
});
