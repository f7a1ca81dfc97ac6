import type { PairTokens } from '../../trainer-image/loss/scores.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { SafetensorsFile, type NamedTensor } from '../../trainer-image/model/safetensors.ts';
import { accumulate, golden, goldenFolder, goldenPairs, logProbs, relativeDistance } from '../trainer-image/golden.ts';
import { trainingOf } from '../trainer-image/golden.ts';
import { checkpoint, pair, type Case, type Sketch } from '../trainer-image/tiny-models.ts';
import { mean, type Compared, type Parts } from './compared.ts';

const example = { row: 0, prompt: pair.prompt, completion: pair.chosen };

const sketch = (data: Float32Array): Sketch => [
  Math.hypot(...data),
  data.reduce((sum, value, i) => sum + value * Math.sin(i + 1), 0),
  data.reduce((sum, value, i) => sum + value * Math.cos(2 * i + 1), 0),
];

function sameNames(own: readonly NamedTensor[], theirs: readonly string[]): void {
  const names = own.map(({ name }) => name).sort();
  if (names.join() !== theirs.toSorted().join()) throw new Error(`weights ${names.join()}, theirs ${theirs.join()}`);
}

/** The log-probability of each token of an answer. */
export function eachToken(what: string, own: Float32Array, theirs: readonly number[]): Compared[] {
  if (own.length !== theirs.length) throw new Error(`${what} has ${own.length} tokens, theirs ${theirs.length}`);
  return theirs.map((value, i) => ({
    what: `${what}, token ${i}`,
    own: own[i] as number,
    theirs: value,
    tolerance: 1e-4,
  }));
}

/** The sketch of each weight's gradient; the same weights must have one. */
export function eachWeight(gradients: readonly NamedTensor[], known: Record<string, Sketch>): Compared[] {
  sameNames(gradients, Object.keys(known));
  return gradients.flatMap(({ name, data }) => {
    const theirs = known[name] as Sketch;
    return sketch(data).map((value, i) => {
      return { what: name, own: value, theirs: theirs[i] as number, tolerance: 1e-4 * theirs[0] };
    });
  });
}

/** A tiny model beside transformers: the log-probability of every token, and PyTorch's gradient by every weight. */
export function tinyModel(known: Case): Parts {
  const learner = new Learner(checkpoint(known), trainingOf());
  // All in one pass, both answers behind one prompt, in either order; transformers has a sequence for each.
  const swapped = { ...pair, chosen: pair.rejected, rejected: pair.chosen };
  const [own, other] = learner.tokenLogProbs([pair, swapped]) as [PairTokens, PairTokens];
  learner.accumulateSft([example], pair.chosen.length);
  return {
    'log-probabilities': [
      ...eachToken('the chosen answer', own.chosen, known.chosen),
      ...eachToken('the rejected answer', own.rejected, known.rejected),
      ...eachToken('the chosen answer behind', other.rejected, known.chosen),
      ...eachToken('the rejected answer before', other.chosen, known.rejected),
    ],
    gradient: eachWeight(learner.readGradients(), known.gradients),
  };
}

/** The tiny Llama of TRL's traces on the fixed batch: summed log-probabilities, loss, and the gradient by every weight. */
export function fixedBatch(): Parts {
  const policy = new Learner(`${goldenFolder}/tiny-policy`, trainingOf());
  const reference = logProbs(new Learner(`${goldenFolder}/tiny`, trainingOf()), goldenPairs);
  const sums = { policy: logProbs(policy, goldenPairs), reference };
  const compareSums = (which: 'policy' | 'reference'): Compared[] =>
    (['chosen', 'rejected'] as const).flatMap((side, at) =>
      sums[which].map((own, i) => {
        const theirs = golden.logps[`${which}64`][at * goldenPairs.length + i] as number;
        return { what: `${which}, ${side} ${i}`, own: own[side], theirs, tolerance: 2e-4 };
      }),
    );
  const outcomes = accumulate(policy, goldenPairs, reference);
  const { loss, metrics } = golden.sigmoid;
  const reward = mean(outcomes.map(({ rewards }) => rewards.chosen));
  return {
    'log-probabilities': [...compareSums('policy'), ...compareSums('reference')],
    loss: [{ what: 'loss', own: mean(outcomes.map((each) => each.loss)), theirs: loss, tolerance: 1e-6 + 1e-5 * loss }],
    rewards: [{ what: 'chosen', own: reward, theirs: metrics['rewards/chosen'] as number, tolerance: 5e-5 }],
    gradient: gradientBesides(policy.readGradients(), `${goldenFolder}/sigmoid.grad.safetensors`),
  };
}

/** Relative distance of each weight's gradient from TRL's. */
function gradientBesides(gradients: readonly NamedTensor[], path: string): Compared[] {
  const file = new SafetensorsFile(path);
  try {
    sameNames(gradients, file.names);
    return gradients.map(({ name, data }) => {
      return { what: name, own: relativeDistance(data, file.read(name).data), theirs: 0, tolerance: 1e-4 };
    });
  } finally {
    file.close();
  }
}
