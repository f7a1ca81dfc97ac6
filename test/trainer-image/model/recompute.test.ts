import { afterEach, describe, expect, test } from '@jest/globals';
import { liveTensors, setEager, setKernels } from '../../../trainer-image/engine/engine.ts';
import { pairOutcomes } from '../../../trainer-image/loss/objective.ts';
import { Learner, type Training } from '../../../trainer-image/model/learner.ts';
import { keptBudget, recomputation } from '../../../trainer-image/model/recompute.ts';
import type { SavedStep } from '../../../trainer-image/model/tape.ts';
import { adapterCases, settingsOf, type LoraCase } from '../../parity/adapters.ts';
import { cut, stepOf } from '../alike.ts';
import { kernelSetsHere } from '../kernel-sets.ts';
import { trainingOf } from '../golden.ts';
import { checkpoint, reference } from '../tiny-models.ts';

const mebibytes = (count: number): number => count * 1024 ** 2;

test.each([
  ['much where the weights are small', undefined, mebibytes(1), mebibytes(512)],
  ['as much as the weights where they are large', undefined, mebibytes(600), mebibytes(600)],
  ['nothing if that is asked', true, mebibytes(600), 0],
  ['all if that is asked', false, mebibytes(600), Infinity],
] as const)('on a CPU blocks may keep %s', (_, asked, weights, budget) => {
  expect(keptBudget(asked, weights)).toBe(budget);
});

describe('of ten blocks that keep 24 bytes each', () => {
  const [four, two] = [
    { id: 1, shape: [2, 2], dtype: 'float32' },
    { id: 2, shape: [2, 2], dtype: 'bfloat16' },
  ] as const;
  const saved = (first: boolean): SavedStep[] => [
    { step: 3, output: four, first: false },
    { step: 5, output: two, first },
  ];
  test.each([
    [Infinity, 0],
    [240, 0],
    [239, 1],
    [48, 8],
    [23, 10],
    [0, 10],
  ])('with %d bytes %d are run again', (budget, count) => {
    expect(recomputation(saved(false), 10, budget).blocks).toBe(count);
  });
  test.each([
    [240, 0, true],
    [239, 1, true],
    [224, 1, true],
    [223, 2, true],
    [80, 10, true],
    [79, 7, false],
    [0, 10, false],
  ])('with %d bytes %d, where 8 of the 24 are kept first, and they are: %s', (budget, blocks, keepsFirst) => {
    expect(recomputation(saved(true), 10, budget)).toEqual({ blocks, keepsFirst });
  });
});

/** Bytes of what attention makes in both blocks of some forty rows, 4 heads of 16 numbers each, and of nothing more. */
const littleRoom = 2 * 45 * 4 * 16 * 4;

test('what a block keeps that is run again is gone when the loss is computed', () => {
  const held = (budget: number): number => {
    const learner = new Learner(checkpoint(reference.cases['llama']!), trainingOf());
    learner.network.keptBudget = budget;
    const before = liveTensors();
    let count = 0;
    learner.accumulatePreference([cut(10, 20, 5)], (scores) => {
      count = liveTensors() - before;
      return pairOutcomes(learner.training, {
        scores,
        reference: [{ chosen: -30, rejected: -20 }],
        totals: { pairs: 1, chosenTokens: 20 },
      });
    });
    return count;
  };
  // Queries, keys, values, what attention makes of them, its projection, gate and up.
  const [layers, keptOfEach] = [2, 7];
  const nothing = held(0);
  expect(held(Infinity) - nothing).toBe(layers * keptOfEach);
  expect(held(littleRoom) - nothing).toBe(layers);
});

describe('a block that is run again gives the same gradients bit for bit', () => {
  afterEach(() => {
    setEager(false);
    setKernels('none');
  });
  const gradients = (folder: string, settings: Partial<Training>, gradientCheckpointing: boolean): unknown => {
    const learner = new Learner(folder, trainingOf({ ...settings, gradientCheckpointing }));
    return stepOf(
      learner,
      [cut(10, 20, 5), cut(4, 3, 9)],
      [
        { chosen: -30, rejected: -20 },
        { chosen: -9, rejected: -31 },
      ],
    );
  };
  const requireSame = (folder: string, settings: Partial<Training> = {}): void =>
    expect(gradients(folder, settings, true)).toEqual(gradients(folder, settings, false));

  test.each(['llama', 'gpt2', 'gemma3_text, nested form'])('%s', (name) =>
    requireSame(checkpoint(reference.cases[name]!)),
  );

  test.each(kernelSetsHere)('where it keeps what attention made (kernels: %s)', (set) => {
    setKernels(set);
    const learner = new Learner(checkpoint(reference.cases['llama']!), trainingOf());
    const step = (): unknown => stepOf(learner, [cut(10, 20, 5)], [{ chosen: -30, rejected: -20 }]);
    const all = step();
    learner.network.keptBudget = littleRoom;
    expect(step()).toEqual(all);
  });

  test('operation by operation', () => {
    setEager(true);
    requireSame(checkpoint(reference.cases['llama']!));
  });

  test.each(kernelSetsHere)('with the kernels %s', (set) => {
    setKernels(set);
    requireSame(checkpoint(reference.cases['llama']!));
  });

  test('beside adapters that drop', () => {
    const known = adapterCases['llama'] as LoraCase;
    requireSame(checkpoint(reference.cases['llama']!), { lora: settingsOf(known, 0.5) });
  });
});
