import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { optimizers } from '../../../crds/optimizer.ts';
import { takeFence } from '../../../trainer-image/checkpoint/fence.ts';
import { CheckpointStore } from '../../../trainer-image/checkpoint/store.ts';
import {
  createVariable,
  liveTensors,
  read,
  scope,
  setKernels,
  tensor,
  type Variable,
} from '../../../trainer-image/engine/engine.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { createOptimizer } from '../../../trainer-image/optimizer/optimizers.ts';
import { learningRateAt, type ScheduleName } from '../../../trainer-image/optimizer/schedule.ts';
import { kernelSetsHere } from '../kernel-sets.ts';
import { goldenFolder, goldenPairs, relativeDistance, trainingOf } from '../golden.ts';

type Values = Record<'matrix' | 'bias', number[]>;
interface Golden {
  shapes: Values;
  optimizers: {
    optimizer: (typeof optimizers)[number];
    settings: object;
    start: Values;
    steps: { learningRate: number; gradients: Values; weights: Values }[];
  }[];
  schedules: { schedule: ScheduleName; settings: { warmup: number }; peak: number; rates: number[] }[];
}
/** Made by test/python/optimizers.py with torch, transformers and lion-pytorch. */
const golden = JSON.parse(readFileSync('test/golden/torch/optimizers.json', 'utf8')) as Golden;

const names = ['matrix', 'bias'] as const;
const valueOf = (variable: Variable): Float32Array => scope(() => read(variable.read()) as Float32Array);

const scaledBy = (factor: number, numbers: readonly number[]): Float32Array =>
  Float32Array.from(numbers, (value) => factor * value);

/** Runs one golden case on gradients that are to be multiplied by a number so that they are the case's; the weights after each step. */
function follow(
  { optimizer, settings, start, steps }: Golden['optimizers'][number],
  gradientScale = 1,
): Record<string, Float32Array>[] {
  const weights = names.map((name) => createVariable(name, Float32Array.from(start[name]), golden.shapes[name]));
  const made = createOptimizer(weights, trainingOf({ optimizer, ...settings }));
  const after = steps.map(({ gradients, learningRate }, i) => {
    scope(() => {
      const named = names.map(
        (name) => [name, tensor(scaledBy(1 / gradientScale, gradients[name]), golden.shapes[name])] as const,
      );
      made.step(new Map(named), { step: i + 1, learningRate, gradientScale });
    });
    return Object.fromEntries(weights.map((weight) => [weight.name, valueOf(weight)]));
  });
  made.dispose();
  weights.forEach((weight) => weight.dispose());
  return after;
}

afterEach(() => setKernels('none'));

describe('an optimizer', () => {
  test('of every name has numbers to be compared with', () => {
    expect([...new Set(golden.optimizers.map(({ optimizer }) => optimizer))].toSorted()).toEqual(
      [...optimizers].toSorted(),
    );
  });

  const everywhere = golden.optimizers.flatMap((one) =>
    kernelSetsHere.flatMap((set) =>
      [1, 0.25].map((scale) => ({ ...one, named: JSON.stringify(one.settings), set, scale, one })),
    ),
  );
  test.each(everywhere)(
    '$optimizer with $named takes the steps of its model, weight decay included (kernels $set, gradients times $scale)',
    ({ one, set, scale }) => {
      setKernels(set);
      follow(one, scale).forEach((weights, i) => {
        for (const name of names) {
          const expected = Float32Array.from(one.steps[i]?.weights[name] as number[]);
          expect(relativeDistance(weights[name] as Float32Array, expected)).toBeLessThan(1e-6);
        }
      });
    },
  );

  test('changes the values that the variables hold, with its own kernels in their own place', () => {
    for (const set of kernelSetsHere) {
      setKernels(set);
      const weight = createVariable('weight', Float32Array.of(1, 2), [2]);
      const made = createOptimizer([weight], trainingOf({ optimizer: 'adamw' }));
      const held = weight.value();
      scope(() => {
        const gradients = new Map([['weight', tensor(Float32Array.of(1, -1), [2])]]);
        made.step(gradients, { step: 1, learningRate: 0.5, gradientScale: 1 });
      });
      expect([...valueOf(weight)].map((x) => x.toFixed(5))).toEqual(['0.50000', '2.50000']);
      expect(read(weight.value())).toEqual(valueOf(weight));
      if (set !== 'none') expect(weight.value()).toBe(held);
      made.dispose();
      weight.dispose();
    }
  });

  test.each(optimizers)('%s leaves no tensor behind when it takes steps or is disposed of', (optimizer) => {
    const one = golden.optimizers.findLast((each) => each.optimizer === optimizer) as Golden['optimizers'][number];
    follow(one);
    const before = liveTensors();
    follow(one);
    expect(liveTensors()).toBe(before);
  });

  const states: [(typeof optimizers)[number], object, string[]][] = [
    ['adamw', {}, ['matrix.m', 'matrix.v', 'bias.m', 'bias.v']],
    ['adafactor', {}, ['matrix.row', 'matrix.col', 'bias.v']],
    ['lion', {}, ['matrix.m', 'bias.m']],
    ['rmsprop', {}, ['matrix.v', 'bias.v']],
    ['rmsprop', { momentum: 0.9 }, ['matrix.v', 'matrix.momentum', 'bias.v', 'bias.momentum']],
    ['sgd', {}, []],
    ['sgd', { momentum: 0.9 }, ['matrix.momentum', 'bias.momentum']],
  ];
  test.each(states)('%s with %j keeps its state under fixed names', (optimizer, settings, expected) => {
    const weights = names.map((name) =>
      createVariable(name, Float32Array.from(golden.optimizers[0]?.start[name] as number[]), golden.shapes[name]),
    );
    const made = createOptimizer(weights, trainingOf({ optimizer, ...settings }));
    expect(made.variables.map(({ name }) => name)).toEqual(expected);
  });
});

/** Takes steps `from` to `to` on two golden pairs each. */
function takeSteps(learner: Learner, from: number, to: number): void {
  for (let step = from; step < to; step++) {
    accumulateSft(learner, 2 * step);
    learner.update(step + 1, 1e-3);
  }
}
const accumulateSft = (learner: Learner, from: number): void => {
  const examples = goldenPairs
    .slice(from, from + 2)
    .map(({ row, prompt, chosen }) => ({ row, prompt, completion: chosen }));
  learner.accumulateSft(examples, 100);
};
const stateOf = (learner: Learner): [string, string][] =>
  learner.state().map(({ name, read: values }) => [name, createHash('sha256').update(values()).digest('hex')]);

describe('a run that is stopped after two steps and resumed from its checkpoint', () => {
  test.each([
    ['adamw', {}],
    ['adafactor', {}],
    ['lion', {}],
    ['rmsprop', { momentum: 0.9 }],
    ['sgd', { momentum: 0.9 }],
  ])('has with %s the state of an undisturbed one, bit for bit', (optimizer, settings) => {
    const training = trainingOf({ optimizer, weightDecay: 0.01, ...settings });
    const begin = (): Learner => {
      const learner = new Learner(`${goldenFolder}/tiny`, training);
      learner.startStage();
      return learner;
    };
    const [undisturbed, stopped, resumed] = [begin(), begin(), begin()];
    takeSteps(undisturbed, 0, 4);
    takeSteps(stopped, 0, 2);

    const folder = mkdtempSync(join(tmpdir(), 'resume-'));
    const store = new CheckpointStore(folder, takeFence(folder, 'test'), {
      skipped: () => {},
      mismatch: () => '',
      beat: () => {},
    });
    store.save({ stage: 'Training', step: 2, plan: 'plan', figures: {} }, stopped.state(), 1);
    const saved = store.newest('plan');
    resumed.restore(saved?.read as NonNullable<typeof saved>['read']);
    saved?.close();
    expect(stateOf(resumed)).toEqual(stateOf(stopped));
    takeSteps(resumed, 2, 4);
    expect(stateOf(resumed)).toEqual(stateOf(undisturbed));
    expect(stateOf(resumed)).not.toEqual(stateOf(stopped));
  });
});

describe("a schedule gives the learning rate of transformers' scheduler of its name at every step", () => {
  test.each(golden.schedules.map((one) => [one.schedule, JSON.stringify(one.settings), one] as const))(
    '%s with %s',
    (_, _settings, { schedule, settings, peak, rates }) => {
      const own = rates.map((_rate, step) =>
        learningRateAt(step, rates.length, { schedule, learningRate: peak, ...settings }),
      );
      own.forEach((rate, step) => expect(Math.abs(rate - (rates[step] as number))).toBeLessThanOrEqual(1e-12 * peak));
    },
  );
});
