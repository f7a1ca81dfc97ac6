import { describe, expect, test } from '@jest/globals';
import type { Entry } from '../../../trainer-image/metrics/history.ts';
import { Signals } from '../../../trainer-image/metrics/signals.ts';

/** What the curves warn of as of their latest entry. */
function asOfTheLast(entries: readonly Entry[], chosenTokens = 10): string[] {
  const signals = new Signals(chosenTokens);
  return entries.map((entry) => signals.see(entry).map(({ message }) => message)).at(-1) ?? [];
}

/** Training losses at steps 1, 2, ... and held-out losses after `every` steps each, the first before training. */
function curves(losses: number[], heldOut: number[], every: number): Entry[] {
  const evaluated = heldOut.map((evalLoss, i) => ({
    kind: 'heldOut' as const,
    step: i * every,
    metrics: { evalLoss },
  }));
  const steps = losses.map((loss, i) => ({ kind: 'train' as const, step: i + 1, metrics: { loss } }));
  return [...evaluated, ...steps].toSorted((a, b) => a.step - b.step || (a.kind === 'train' ? -1 : 1));
}

describe('held-out loss is said to rise', () => {
  test.each([
    ['when it rose by more than 0.02 while the training loss fell', [0.69, 0.6, 0.5, 0.4], [0.69, 0.6, 0.63], 1],
    ['not when it rose by less', [0.69, 0.6, 0.5, 0.4], [0.69, 0.6, 0.61], 0],
    ['not when both rose: the course itself is unstable', [0.5, 0.5, 0.9, 0.9], [0.69, 0.6, 0.9], 0],
    ['not when it falls', [0.69, 0.6, 0.5, 0.4], [0.69, 0.6, 0.5], 0],
    [
      'not when as many steps before were as low: the longer past says nothing',
      [0.9, 0.9, 0.4, 0.4, 0.4, 0.4],
      [0.69, 0.65, 0.6, 0.7],
      0,
    ],
    ['when the least was before training and the first step was higher', [0.69, 0.5, 0.4, 0.3], [0.6, 0.65, 0.7], 1],
  ] as [string, number[], number[], number][])('%s', (_, losses, heldOut, count) => {
    expect(asOfTheLast(curves(losses, heldOut, 2))).toHaveLength(count);
  });
});

test('likelihood displacement tells the log-probability per token', () => {
  const entries = [-40, -50].map((evalLogpsChosen, i) => ({
    kind: 'heldOut' as const,
    step: 10 * i,
    metrics: { evalLogpsChosen },
  }));
  expect(asOfTheLast(entries, 20)).toEqual([
    expect.stringContaining('from -2.000 to -2.500 in log-probability per token since step 0'),
  ]);
});

test('the first warning of each reason is kept, also when the trouble passes or grows', () => {
  const signals = new Signals(10);
  const won = { rewardAccuracy: 1, rewardMargin: 11 };
  for (let step = 1; step <= 30; step++) {
    const metrics = { ...won, rewardMargin: step < 20 ? 11 : 200, rewardAccuracy: step < 25 ? 1 : 0.5 };
    signals.see({ kind: 'train', step, metrics });
  }
  expect([...signals.found.values()].map(({ message }) => message.split(' over')[0])).toEqual([
    'the reward margin is 11.00',
  ]);
});

test('a history of 500,000 steps is followed entry by entry: each is read once and asked for a few figures', () => {
  const [steps, every, least] = [500_000, 5, 250_000];
  let reads = 0;
  const counted = (kind: Entry['kind'], step: number, metrics: Entry['metrics']): Entry => ({
    kind,
    step,
    get metrics() {
      reads += 1;
      return metrics;
    },
  });
  const signals = new Signals(10);
  let entries = 0;
  for (let step = 1; step <= steps; step++) {
    signals.see(counted('train', step, { loss: step <= least ? 0.5 : 0.4 }));
    entries += 1;
    if (step % every !== 0) continue;
    signals.see(counted('heldOut', step, { evalLoss: step === least ? 0.6 : step === steps ? 0.65 : 0.61 }));
    entries += 1;
  }
  expect([...signals.found.values()].map(({ message }) => message.split(' while')[0])).toEqual([
    `held-out loss rose from 0.6000 (step ${least}) to 0.6500`,
  ]);
  expect(reads).toBe(3 * entries);
});

test.each([
  [true, 'raise training.beta'],
  [false, 'lower training.beta'],
])('a beta that holds the policy (%s) is advised by: %s', (holds, advice) => {
  const signals = new Signals(10, holds);
  const metrics = { rewardAccuracy: 1, rewardMargin: 11 };
  const told = Array.from({ length: 10 }, (_, i) => signals.see({ kind: 'train', step: i + 1, metrics })).flat();
  expect(told.map(({ message }) => message)).toEqual([expect.stringContaining(advice)]);
});
