import { setEager, setRoundedShapes } from '../../trainer-image/engine/engine.ts';
import { sumTokens } from '../../trainer-image/loss/scores.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { accumulate, goldenFolder, goldenPairs, trainingOf } from '../trainer-image/golden.ts';

/** The weights after three steps. */
function trained(): Float32Array[] {
  const learner = new Learner(`${goldenFolder}/tiny-policy`, trainingOf({ precision: 'auto' }));
  const reference = learner.tokenLogProbs(goldenPairs).map((tokens) => sumTokens(tokens));
  learner.startStage();
  for (let step = 1; step <= 3; step++) {
    accumulate(learner, goldenPairs, reference);
    learner.update(step, 1e-3);
  }
  return learner.weights().map(({ read }) => read());
}

/** Whether two runs of the tiny Llama end with the same bits, in the precision and the shapes of this device. */
export function sameBits(gpu: boolean): boolean {
  setRoundedShapes(gpu);
  setEager(false);
  const [first, second] = [trained(), trained()];
  return first.every((values, i) => Buffer.from(values.buffer).equals(Buffer.from((second[i] as Float32Array).buffer)));
}
