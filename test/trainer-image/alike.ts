import { expect } from '@jest/globals';
import type { Pair } from '../../trainer-image/data/pair.ts';
import { setRoundedShapes } from '../../trainer-image/engine/engine.ts';
import type { PairLogProbs, PairTokens } from '../../trainer-image/loss/scores.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { adapterCases, learnerOf, type LoraCase } from '../parity/adapters.ts';
import { accumulate, relativeDistance, trainingOf } from './golden.ts';
import { checkpoint, pair, reference } from './tiny-models.ts';

/** The same model computed in two ways: with padding and without, in bfloat16 and in float32. */

/** Some tokens of the tiny models' pair: of its prompt and its answers. */
export const cut = (prompt: number, chosen: number, rejected: number): Pair => ({
  row: 0,
  prompt: pair.prompt.slice(0, prompt),
  chosen: pair.chosen.slice(0, chosen),
  rejected: pair.rejected.slice(0, rejected),
});

/** Summed log-probabilities, losses, and the gradient of every weight. */
export function stepOf(learner: Learner, pairs: readonly Pair[], against: readonly PairLogProbs[]) {
  const outcomes = accumulate(learner, pairs, against);
  const gradients = learner.readGradients();
  learner.dropGradients();
  return { sums: outcomes.map(({ logProbs: own }) => own), losses: outcomes.map(({ loss }) => loss), gradients };
}

export function requireEqual(learner: Learner, pairs: readonly Pair[], against: readonly PairLogProbs[]): void {
  const exact = stepOf(learner, pairs, against);
  setRoundedShapes(true);
  const padded = stepOf(learner, pairs, against);
  padded.sums.forEach(({ chosen, rejected }, i) => {
    expect(chosen).toBeCloseTo(exact.sums[i]?.chosen as number, 3);
    expect(rejected).toBeCloseTo(exact.sums[i]?.rejected as number, 3);
  });
  padded.losses.forEach((loss, i) => expect(loss).toBeCloseTo(exact.losses[i] as number, 4));
  for (const [i, { name, data }] of padded.gradients.entries()) {
    const distance = relativeDistance(data, exact.gradients[i]?.data as Float32Array);
    if (!(distance < 1e-4)) throw new Error(`the gradient of ${name} is off by ${distance}`);
  }
}

/** A tiny model with padding. */
export function requireEqualPadded(name: string): void {
  const learner = new Learner(checkpoint(reference.cases[name]!), trainingOf());
  const pairs = [cut(3, 2, 9), cut(20, 24, 9), cut(19, 1, 8)];
  requireEqual(
    learner,
    pairs,
    pairs.map(() => ({ chosen: -4, rejected: -6 })),
  );
}

export const bf16 = trainingOf({ precision: 'bf16' });
const example = { row: 0, prompt: pair.prompt, completion: pair.chosen };

/** Log-probability of each answer token, and the gradient of the chosen answer's cross-entropy. */
export function valuesOf(learner: Learner): { tokens: Float32Array; gradients: Map<string, Float32Array> } {
  const [{ chosen, rejected }] = learner.tokenLogProbs([pair]) as [PairTokens];
  learner.accumulateSft([example], pair.chosen.length);
  const gradients = new Map(learner.readGradients().map(({ name, data }) => [name, data]));
  learner.dropGradients();
  return { tokens: Float32Array.of(...chosen, ...rejected), gradients };
}

/** Near to float32, and not it. */
function requireNear(own: Learner, whole: Learner): void {
  const [rounded, exact] = [valuesOf(own), valuesOf(whole)];
  const off = relativeDistance(rounded.tokens, exact.tokens);
  expect(off).toBeGreaterThan(1e-6);
  expect(off).toBeLessThan(1e-2);
  expect([...rounded.gradients.keys()]).toEqual([...exact.gradients.keys()]);
  for (const [name, data] of rounded.gradients) {
    const distance = relativeDistance(data, exact.gradients.get(name) as Float32Array);
    if (!(distance < 0.1)) throw new Error(`the gradient of ${name} is off by ${distance}`);
  }
}

/** A tiny model in bfloat16. */
export function requireNearRounded(name: string): void {
  const folder = checkpoint(reference.cases[name]!);
  requireNear(new Learner(folder, bf16), new Learner(folder, trainingOf()));
}

/** An adapter on one in bfloat16. */
export function requireNearAdapted(name: string): void {
  const known = adapterCases[name] as LoraCase;
  requireNear(learnerOf(known, undefined, 'bf16'), learnerOf(known));
}
