import type { Learner } from '../model/learner.ts';
import { loadReference, release, type LiveReference } from '../reference/live.ts';
import type { StageContext } from './context.ts';
import { loadStart } from './start.ts';

/**
 * Lets `use` ask the reference as it was at the start of the preference stage: the model that is in memory if it has not
 * moved, else its own loaded again, else the learner, which has its present weights again afterwards, whatever happens.
 * `beat` after each weight that is read.
 */
export function withReferenceAtStart<T>(
  context: StageContext,
  live: LiveReference | undefined,
  use: (reference: Learner) => T,
  beat: () => void,
): T {
  if (live?.atStart !== undefined) return use(live.atStart);
  const { reference } = context.run.paths;
  if (reference === undefined) return withLearnerAtStart(context, use, beat);
  const model = loadReference(reference, context.run.job.spec.training, beat);
  try {
    return use(model);
  } finally {
    release(model);
  }
}

function withLearnerAtStart<T>(context: StageContext, use: (reference: Learner) => T, beat: () => void): T {
  const { learner } = context;
  const present = new Map<string, Float32Array>();
  for (const { name, read } of learner.weights()) {
    present.set(name, read());
    beat();
  }
  try {
    loadStart(context, beat);
    return use(learner);
  } finally {
    learner.restoreWeights((name) => present.get(name) as Float32Array);
  }
}
