import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { compiledFunctions, liveTensors, setEager } from '../../../trainer-image/engine/engine.ts';
import type { PairLogProbs } from '../../../trainer-image/loss/scores.ts';
import { splitPairs } from '../../../trainer-image/model/groups.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { SafetensorsFile } from '../../../trainer-image/model/safetensors.ts';
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

const asPairs = (values: readonly number[]): PairLogProbs[] =>
  goldenPairs.map((_, i) => ({ chosen: values[i] as number, rejected: values[goldenPairs.length + i] as number }));
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("against TRL's own numbers, the tiny Llama", () => {
  let policy: Learner;
  let reference: PairLogProbs[];

  beforeAll(() => {
    policy = new Learner(`${goldenFolder}/tiny-policy`, trainingOf());
    reference = logProbs(new Learner(`${goldenFolder}/tiny`, trainingOf()), goldenPairs);
  });
  afterEach(() => {
    setEager(false);
    policy.dropGradients();
  });

  test.each(['policy', 'reference'] as const)('gives the %s’s summed log-probabilities within 2e-4', (which) => {
    const own = which === 'policy' ? logProbs(policy, goldenPairs) : reference;
    const expected = asPairs(golden.logps[`${which}64`]);
    own.forEach((pair, i) => {
      expect(Math.abs(pair.chosen - (expected[i] as PairLogProbs).chosen)).toBeLessThan(2e-4);
      expect(Math.abs(pair.rejected - (expected[i] as PairLogProbs).rejected)).toBeLessThan(2e-4);
    });
  });

  test('gives the loss, the rewards and the gradient of every weight', () => {
    const outcomes = accumulate(policy, goldenPairs, reference);
    const loss = mean(outcomes.map((outcome) => outcome.loss));
    expect(Math.abs(loss - golden.sigmoid.loss)).toBeLessThan(1e-6 + 1e-5 * golden.sigmoid.loss);
    const chosen = mean(outcomes.map((outcome) => outcome.rewards.chosen));
    expect(chosen).toBeCloseTo(golden.sigmoid.metrics['rewards/chosen'] as number, 4);
    const file = new SafetensorsFile(`${goldenFolder}/sigmoid.grad.safetensors`);
    const gradients = policy.readGradients();
    expect(gradients.map(({ name }) => name).sort()).toEqual(file.names.toSorted());
    for (const { name, data } of gradients) {
      const distance = relativeDistance(data, file.read(name).data);
      if (!(distance < 1e-4)) throw new Error(`the gradient of ${name} is off by ${distance}`);
    }
    file.close();
  });

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
