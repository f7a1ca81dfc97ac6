import { TrainerError } from '../errors.ts';
import { note, Stopped, type ProgressPart, type StageContext } from './context.ts';
import type { SavedStage } from '../checkpoint/store.ts';
import type { StateTensor } from '../model/learner.ts';

/** A stage that takes optimizer steps. */
export interface SteppedStage {
  stage: SavedStage;
  /** Steps already done (from a checkpoint) and steps in all. */
  from: number;
  total: number;
  /**
   * Takes step `step` (counted from 0) and returns what is to be told of it. It may throw Stopped before its update and
   * never after: the weights must be those of the steps that are counted.
   */
  takeStep: (step: number) => ProgressPart;
  /** Called when `steps` are done, before a checkpoint is considered. */
  afterStep?: (steps: number) => void;
  /** Whether the stage shall end before `total`. */
  ended?: () => boolean;
  /** Figures that a resumed run goes on with. */
  figures: () => Record<string, number>;
  /** What it needs besides the learner's state. */
  tensors?: () => StateTensor[];
}

/** Takes a stage's steps; saves by interval, at the end and when stopped. */
export function runSteps(context: StageContext, stage: SteppedStage): void {
  const { checkpoint } = context.run.job.spec;
  let done = stage.from;
  let savedAt = performance.now();
  let saved = stage.from;
  const save = (): void => {
    if (saved === done && done > 0) return;
    saveCheckpoint(context, stage, done);
    [saved, savedAt] = [done, performance.now()];
  };
  const ended = (): boolean => done >= stage.total || stage.ended?.() === true;
  try {
    while (!ended()) {
      context.learner.beginStep(done);
      const progress = stage.takeStep(done);
      done += 1;
      context.report.beat(progress);
      stage.afterStep?.(done);
      const due = done % checkpoint.everySteps === 0 || performance.now() - savedAt > checkpoint.everySeconds * 1000;
      if (due || ended()) save();
    }
  } catch (error) {
    context.learner.dropGradients();
    // Weights are those after `done` steps: a step that was under way is taken again.
    if (error instanceof Stopped) save();
    throw error;
  }
}

export function saveCheckpoint(
  { learner, store, plan, run, report }: StageContext,
  stage: Pick<SteppedStage, 'stage' | 'figures' | 'tensors'>,
  step: number,
): void {
  const state = { stage: stage.stage, step, plan, figures: stage.figures() };
  const started = performance.now();
  const time = store.save(state, [...learner.state(), ...(stage.tensors?.() ?? [])], run.job.spec.checkpoint.keep);
  report.observe({ kind: 'checkpoint', stage: stage.stage, seconds: (performance.now() - started) / 1000 });
  report.info(`checkpoint saved at step ${step} of stage ${stage.stage}`);
  if (stage.stage === 'Training') note(report, { checkpoint: { step, time } });
}

/** Throws NonFinite that names the rows when the loss or the gradient of a step is not finite. */
export function checkFinite(what: { loss: number; gradNorm: number; step: number }, rows: readonly number[]): void {
  if (Number.isFinite(what.loss) && Number.isFinite(what.gradNorm)) return;
  const message = `step ${what.step}: loss ${what.loss}, gradient norm ${what.gradNorm}; rows ${rows.join(', ')}. Lower the learning rate, or look at these rows`;
  throw new TrainerError('NonFinite', message);
}
