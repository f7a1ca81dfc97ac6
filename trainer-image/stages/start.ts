import type { Checkpoint, CheckpointStore } from '../checkpoint/store.ts';
import { TrainerError } from '../errors.ts';
import type { StageContext } from './context.ts';
import type { RunData } from './data.ts';
import { fineTune, sftSteps } from './sft.ts';

/** Keeps the weights at the start of the preference stage, whatever becomes of the policy. */
export const startStore = ({ store }: StageContext): CheckpointStore => store.within('start');

/** Weights at the start of the preference stage: fine-tuned now, or as an earlier run left them. */
export function tuneOrRestoreStart(context: StageContext, data: RunData, saved: Checkpoint | undefined): void {
  const { learner, run, watch, fence } = context;
  if (run.job.spec.sft === undefined) return;
  if (restoreTuned(context, () => context.report.beat())) {
    return watch.tuning.resumeAt(sftSteps(context, data.examples), () => fence.check());
  }
  learner.startStage();
  if (saved?.stage === 'SFT') learner.restore(saved.read);
  fineTune(context, data, saved?.stage === 'SFT' ? saved.step : 0);
  // Kept for the whole run, without the optimizer's state: the reference is these weights, whatever becomes of the policy.
  const state = { stage: 'SFT', step: sftSteps(context, data.examples), plan: context.plan, figures: {} } as const;
  startStore(context).save(state, learner.weights(), 1);
}

/**
 * Sets the weights to those at the start of the preference stage, which are the reference's. Throws InternalError when what
 * the SFT stage left has been damaged meanwhile; `beat` after each weight.
 */
export function loadStart(context: StageContext, beat: () => void): void {
  const { learner, run } = context;
  if (run.job.spec.sft === undefined) return learner.network.load(run.paths.model, beat);
  if (restoreTuned(context, beat)) return;
  const message = 'the weights that fine-tuning left are damaged: a restarted run makes them anew';
  throw new TrainerError('InternalError', message);
}

/** Digests of what the reference's weights at the start came from: its own model, or the job's and what SFT made of it. */
export function startDigests(context: StageContext): string[] {
  if (context.referenceDigest !== undefined) return [context.referenceDigest];
  if (context.run.job.spec.sft === undefined) return [context.modelDigest];
  const tuned = startStore(context).newest(context.plan);
  tuned?.close();
  return [context.modelDigest, tuned?.sha256 ?? context.plan];
}

/** Sets the weights to what the SFT stage left, if it has been done. */
function restoreTuned(context: StageContext, beat: () => void): boolean {
  const { plan, learner } = context;
  const finished = startStore(context).newest(plan);
  if (finished === undefined) return false;
  try {
    learner.restoreWeights((name, shape) => {
      beat();
      return finished.read(name, shape);
    });
  } finally {
    finished.close();
  }
  return true;
}
