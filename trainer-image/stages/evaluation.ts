import type { Best, Metrics } from '../../crds/progress.ts';
import type { CheckpointStore } from '../checkpoint/store.ts';
import { evaluate, type HeldOut } from '../evaluate.ts';
import { exportsBest, judge, type Standing } from '../metrics/best.ts';
import { note, type StageContext } from './context.ts';

/** Mean margin below which no pair is won or lost: rounding. */
const tie = 1e-4;

/** Before the first step the policy mostly is the reference: no pair is won or lost, and an accuracy of 0 would be no figure. */
function withoutTies({ evalRewardAccuracy, ...metrics }: Metrics, step: number): Metrics {
  const tied = step === 0 && Math.abs(metrics.evalRewardMargin ?? 0) < tie;
  return tied || evalRewardAccuracy === undefined ? metrics : { ...metrics, evalRewardAccuracy };
}

const named = { loss: 'evalLoss', accuracy: 'evalRewardAccuracy', margin: 'evalRewardMargin', KL: 'evalKL' } as const;

/** "loss 0.5412, accuracy 0.9": the held-out figures that are known. */
const inWords = (metrics: Metrics): string =>
  Object.entries(named)
    .flatMap(([name, figure]) => (metrics[figure] === undefined ? [] : [`${name} ${short(metrics[figure])}`]))
    .join(', ');
const short = (value: number): string => String(Number(value.toPrecision(4)));

/**
 * Held-out evaluation through the preference stage: reports the figures, keeps the weights of the best step in `best/`
 * beside the checkpoints, and says when to stop early. Its state is in the checkpoint's figures, so that a resumed run
 * decides the same.
 */
export class Evaluation {
  private readonly context: StageContext;
  private readonly heldOut: HeldOut;
  private readonly totalSteps: number;
  private readonly figures: Record<string, number>;
  private readonly best: CheckpointStore;

  constructor(context: StageContext, heldOut: HeldOut, at: { totalSteps: number; figures: Record<string, number> }) {
    this.context = context;
    this.heldOut = heldOut;
    this.totalSteps = at.totalSteps;
    this.figures = at.figures;
    this.best = context.store.within('best');
    this.tell();
  }

  /** The step after which the preference stage ends early, once that is decided. */
  get stoppedAt(): number | undefined {
    return this.figures['stoppedStep'];
  }

  /** Evaluates the present weights, which are those after `step` steps; does nothing when that has been done. */
  at(step: number): void {
    const { report, learner } = this.context;
    if (this.heldOut.pairs.length === 0 || this.figures['evaluatedStep'] === step) return;
    const started = performance.now();
    const where = { stage: 'Evaluating', step, totalSteps: this.totalSteps } as const;
    const metrics = withoutTies(
      evaluate(learner, this.heldOut, () => report.beat(where)),
      step,
    );
    report.observe({ kind: 'evaluation', stage: 'Training', seconds: (performance.now() - started) / 1000 });
    // What was there before training is no candidate: it is the reference.
    if (step > 0) this.judge(step, metrics);
    this.figures['evaluatedStep'] = step;
    this.context.watch.see('heldOut', step, metrics);
    report.beat({ ...where, metrics });
  }

  /** Leaves the learner with the weights to export: the best step's where the job asks for them. */
  loadBest(lastStep: number): void {
    const { learner, run, report, plan } = this.context;
    const { bestStep } = this.figures;
    if (bestStep === undefined) return;
    if (!exportsBest(run.job.spec.evaluation) || bestStep === lastStep) return this.tell(bestStep === lastStep);
    const kept = this.best.newest(plan);
    if (kept === undefined) {
      const message = `the weights of step ${bestStep} are damaged: those of the last step are exported`;
      return report.warn('BestCheckpointLost', message);
    }
    learner.restoreWeights(kept.read);
    kept.close();
    Object.assign(this.figures, { bestStep: kept.step, bestValue: kept.figures['value'] });
    const { metricForBest } = run.job.spec.evaluation;
    const metrics = this.context.watch.history.at('heldOut', kept.step) ?? {};
    const figures = inWords(metrics);
    report.info(`exporting the weights of step ${kept.step}, the best by ${metricForBest}; held out: ${figures}`);
    // A later step's would describe a model that nobody gets.
    note(report, { metrics });
    this.tell(true);
  }

  private judge(step: number, metrics: Metrics): void {
    const { metricForBest: metric, earlyStopping } = this.context.run.job.spec.evaluation;
    const value = metrics[metric] as number;
    const standing = judge(this.standing(), { step, value }, { metric, minDelta: earlyStopping?.minDelta ?? 0 });
    if (standing === undefined) return;
    if (standing.step === step) this.keep(step, value);
    Object.assign(this.figures, {
      bestStep: standing.step,
      bestValue: standing.value,
      evaluationsWithoutGain: standing.withoutGain,
    });
    const outOfPatience = earlyStopping !== undefined && standing.withoutGain >= earlyStopping.patience;
    if (outOfPatience && step < this.totalSteps) {
      this.figures['stoppedStep'] = step;
      this.context.report.info(`stopping early at step ${step}`);
    }
    this.tell();
  }

  private standing(): Standing | undefined {
    const { bestStep: step, bestValue: value, evaluationsWithoutGain: withoutGain = 0 } = this.figures;
    return step === undefined || value === undefined ? undefined : { step, value, withoutGain };
  }

  /** Weights alone: a resumed run goes on from the newest checkpoint, never from here. */
  private keep(step: number, value: number): void {
    const { learner, plan } = this.context;
    this.best.save({ stage: 'Training', step, plan, figures: { value } }, learner.weights(), 1);
  }

  /** Says which step is best, and why the stage ended early when it did. */
  private tell(exported = false): void {
    const standing = this.standing();
    if (standing === undefined) return;
    const { step, value, withoutGain } = standing;
    const { metricForBest: metric } = this.context.run.job.spec.evaluation;
    const best: Best = { step, metric, value, exported };
    const message = `${metric} did not improve in ${withoutGain} evaluations: its best is ${value.toPrecision(4)}, of step ${step}`;
    const stopped = this.stoppedAt === undefined ? {} : { stoppedEarly: { step: this.stoppedAt, message } };
    Object.assign(this.context.watch.verdict, { best, ...stopped });
    note(this.context.report, { best, ...stopped });
  }
}
