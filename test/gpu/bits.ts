import { setEager, setRoundedShapes } from '../../trainer-image/engine/engine.ts';
import { sumTokens } from '../../trainer-image/loss/scores.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { accumulate, goldenFolder, goldenPairs, trainingOf } from '../trainer-image/golden.ts';

type Values = readonly Float32Array[];

/** The weights at the start and after three steps. Throws when a step was not taken. */
function trained(): { start: Values; end: Values } {
  const learner = new Learner(`${goldenFolder}/tiny-policy`, trainingOf({ precision: 'auto' }));
  const reference = learner.tokenLogProbs(goldenPairs).map((tokens) => sumTokens(tokens));
  learner.startStage();
  const values = (): Values => learner.weights().map(({ read }) => read());
  const start = values();
  for (let step = 1; step <= 3; step++) {
    accumulate(learner, goldenPairs, reference);
    const norm = learner.update(step, 1e-3);
    if (!Number.isFinite(norm)) throw new Error(`step ${step} was not taken: its gradient norm is ${norm}`);
  }
  return { start, end: values() };
}

const same = (a: Values, b: Values): boolean =>
  a.every((values, i) => Buffer.from(values.buffer).equals(Buffer.from((b[i] as Float32Array).buffer)));

/** Whether two runs of the tiny Llama change its weights and end with the same bits, in the precision and the shapes of this device. */
export function sameBits(gpu: boolean): boolean {
  setRoundedShapes(gpu);
  setEager(false);
  const [first, second] = [trained(), trained()];
  return !same(first.start, first.end) && same(first.end, second.end);
}
