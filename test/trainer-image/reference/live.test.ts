import { expect, test } from '@jest/globals';
import { liveTensors } from '../../../trainer-image/engine/engine.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { LiveReference, loadReference, release } from '../../../trainer-image/reference/live.ts';
import { goldenFolder, goldenPairs, relativeDistance, trainingOf } from '../golden.ts';

test('a synced reference takes its share of the policy every so many steps, and nothing between', () => {
  const [policy, reference] = ['tiny-policy', 'tiny'].map(
    (name) => new Learner(`${goldenFolder}/${name}`, trainingOf()),
  ) as [Learner, Learner];
  const read = (learner: Learner): Float32Array[] => learner.weights().map((weight) => weight.read());
  const [own, before] = [read(policy), read(reference)];
  const following = new LiveReference(reference, policy, { steps: 2, alpha: 0.25 });
  following.stepTaken(1);
  expect(read(reference)).toEqual(before);
  following.stepTaken(2);
  const mixed = before.map((values, i) => values.map((value, j) => 0.75 * value + 0.25 * (own[i]?.[j] as number)));
  read(reference).forEach((values, i) => expect(relativeDistance(values, mixed[i] as Float32Array)).toBeLessThan(1e-6));
  expect(read(policy)).toEqual(own);
});

test('a reference that is released leaves no tensor behind', () => {
  const before = liveTensors();
  const reference = loadReference(`${goldenFolder}/tiny`, trainingOf(), () => {});
  reference.tokenLogProbs(goldenPairs.slice(0, 1));
  expect(liveTensors()).toBeGreaterThan(before);
  release(reference);
  expect(liveTensors()).toBe(before);
});
