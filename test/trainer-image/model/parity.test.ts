import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { compiledFunctions, liveTensors, setEager, setKernels } from '../../../trainer-image/engine/engine.ts';
import type { PairLogProbs } from '../../../trainer-image/loss/scores.ts';
import { splitPairs } from '../../../trainer-image/model/groups.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { mean, requireWithin } from '../../parity/compared.ts';
import { fixedBatch } from '../../parity/models.ts';
import {
  accumulate,
  golden,
  goldenFolder,
  goldenPairs,
  logProbs,
  outcomesOf,
  relativeDistance,
  trainingOf,
} from '../golden.ts';
import { kernelSetsHere } from '../kernel-sets.ts';

describe("against TRL's own numbers, the tiny Llama", () => {
  let policy: Learner;
  let reference: PairLogProbs[];

  beforeAll(() => {
    policy = new Learner(`${goldenFolder}/tiny-policy`, trainingOf());
    reference = logProbs(new Learner(`${goldenFolder}/tiny`, trainingOf()), goldenPairs);
  });
  afterEach(() => {
    setEager(false);
    setKernels('none');
    policy.dropGradients();
  });

  test.each(kernelSetsHere)(
    'gives the log-probabilities, the loss, the rewards and every gradient (kernels: %s)',
    (set) => {
      setKernels(set);
      requireWithin(fixedBatch());
    },
  );

  test.each([0.01, 0.5])('gives the loss with beta %d', (beta) => {
    const learner = new Learner(`${goldenFolder}/tiny-policy`, trainingOf({ beta }));
    const outcomes = outcomesOf(learner, goldenPairs, reference);
    const expected = golden.beta[`sigmoid_beta${beta}`]?.loss as number;
    expect(Math.abs(mean(outcomes.map((outcome) => outcome.loss)) - expected)).toBeLessThan(1e-6 + 1e-5 * expected);
  });

  test('gives the same gradient however the batch is split, and eagerly', () => {
    accumulate(policy, goldenPairs, reference);
    const whole = new Map(policy.readGradients().map(({ name, data }) => [name, data]));
    for (const [budget, eager] of [
      [1, false],
      [200, false],
      [100_000, true],
    ] as const) {
      setEager(eager);
      policy.dropGradients();
      let at = 0;
      for (const part of splitPairs(goldenPairs, budget)) {
        accumulate(policy, part, reference.slice(at), goldenPairs);
        at += part.length;
      }
      for (const { name, data } of policy.readGradients()) {
        const distance = relativeDistance(data, whole.get(name) as Float32Array);
        if (!(distance < 1e-5)) throw new Error(`the gradient of ${name} is off by ${distance}`);
      }
    }
  });

  test('has a loss of ln 2 where policy and reference are equal, and no KL between them', () => {
    const own = logProbs(policy, goldenPairs);
    for (const { loss } of outcomesOf(policy, goldenPairs, own)) expect(loss).toBeCloseTo(Math.LN2, 6);
    policy.heldOutKl.capture(goldenPairs.slice(0, 2));
    const { sum, positions } = policy.heldOutKl.measure(goldenPairs.slice(0, 2));
    expect(positions).toBe(
      goldenPairs.slice(0, 2).reduce((n, pair) => n + pair.chosen.length + pair.rejected.length, 0),
    );
    expect(Math.abs(sum / positions)).toBeLessThan(1e-5);
  });

  test('takes a step and holds nothing more than before', () => {
    const learner = new Learner(`${goldenFolder}/tiny-policy`, trainingOf());
    learner.startStage();
    const step = (number: number): number => {
      accumulate(learner, goldenPairs, reference);
      return learner.update(number, 1e-4);
    };
    expect(step(1)).toBeCloseTo(golden.sigmoid.gradNorm, 3);
    const [tensors, functions] = [liveTensors(), compiledFunctions().length];
    for (let number = 2; number < 6; number++) step(number);
    expect([liveTensors(), compiledFunctions().length]).toEqual([tensors, functions]);
    const after = mean(outcomesOf(learner, goldenPairs, reference).map((outcome) => outcome.loss));
    expect(after).toBeLessThan(golden.sigmoid.loss);
    learner.heldOutKl.capture(goldenPairs.slice(0, 1));
    accumulate(learner, goldenPairs, reference);
    learner.update(6, 1e-3);
    expect(learner.heldOutKl.measure(goldenPairs.slice(0, 1)).sum).toBeGreaterThan(0);
  });
});
