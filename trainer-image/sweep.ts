import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { betaHolds, readsBeta } from '../crds/losses.ts';
import { beginAnew, keptPlan } from './checkpoint/plan.ts';
import { holdsCheckpoint, readSealed, writeSealed } from './checkpoint/store.ts';
import { checkOutput, type Run } from './config.ts';
import { TrainerError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import { weightsFile } from './export/export.ts';
import { chooseBeta, type BetaResult, type Sweep } from './metrics/choose-beta.ts';
import { tellRecordings } from './stages/compute-plan.ts';
import { checkPush, pushOutput } from './push/push.ts';
import { note, type ProgressPart, type Reporter } from './stages/context.ts';
import { Watch } from './stages/watch.ts';
import { checkOutputOwner, exportTrained } from './stages/export.ts';
import { preferenceSteps } from './stages/preference.ts';
import { loadStart } from './stages/start.ts';
import { load, prefer, prepare, type Prepared } from './train.ts';

export interface SweepOptions {
  betas: readonly number[];
  /** Export the model of each beta. */
  keep: boolean;
}

/** Throws InvalidConfiguration where betas cannot be compared, whatever the data. */
function checkComparable({ reference, training }: Run['job']['spec']): void {
  const refuse = (message: string): never => {
    throw new TrainerError('InvalidConfiguration', message);
  };
  if (reference.syncSteps !== undefined)
    refuse('--betas compares runs against one reference, and reference.syncSteps makes one of each: leave it out');
  if (!readsBeta(training.loss))
    refuse('--betas changes nothing where sft is the only loss of training.loss: leave it out');
}

/**
 * Trains with each beta from the same start. The data is read, the model fine-tuned and the reference computed once. `run`
 * is that of `sweepRun` (config.ts). Each beta has checkpoints of its own, and its result is kept: a sweep that was
 * interrupted goes on where it was. Throws as `train` does.
 */
export async function sweepBetas(
  run: Run,
  holder: string,
  report: Reporter,
  { betas, keep }: SweepOptions,
): Promise<Sweep> {
  const started = performance.now();
  checkComparable(run.job.spec);
  for (const beta of betas) {
    checkOutput(runOf(run, beta));
    if (!keep) continue;
    checkOutputOwner(runOf(run, beta));
    await checkPush(runOf(run, beta), report);
  }
  const loaded = await load(run, holder, report);
  const pairs = loaded.data.heldOut.length;
  if (pairs === 0) {
    const message = '--betas needs held-out pairs to compare by: raise dataset.holdout or set dataset.evalSource';
    throw new TrainerError('InvalidConfiguration', message);
  }
  const prepared = prepare(loaded);
  prepared.saved?.close();
  const { learner } = prepared.context;
  const before = evaluate(learner, prepared.heldOut, () => report.beat()).evalLogpsChosen as number;
  const results = betas.map((beta, i) => {
    report.info(`beta ${beta} (${i + 1} of ${betas.length})`);
    const own = ofBeta(prepared, beta, partOf(report, i, betas.length));
    return (
      storedResult(own, keep) ??
      trainBeta(own, { keep, before, begin: () => loadStart(prepared.context, () => report.beat()) })
    );
  });
  if (keep) for (const beta of betas) await pushKept(prepared, beta);
  tellRecordings(started, report);
  note(report, { stage: 'Done' });
  return { results, choice: chooseBeta(results, pairs, betaHolds(run.job.spec.training.loss)) };
}

/** The job's own checkpoints beside a sweep's, where it has been run already, and its beta as far as that is known. */
export interface RunBefore {
  folder: string;
  beta: number | undefined;
}

/** Whether the job of a sweep has been run without one. `run` as for sweepBetas. */
export function runBefore({ paths }: Run): RunBefore | undefined {
  const folder = dirname(paths.checkpoints);
  if (!holdsCheckpoint(folder)) return undefined;
  const training = keptPlan(folder)?.settings['training'] as { beta?: number } | undefined;
  return { folder, beta: training?.beta };
}

function advice(beta: number, before: RunBefore | undefined): string {
  const next = `to go on with beta ${beta}, set spec.training.beta to it and run the job without --betas`;
  if (before === undefined) return next;
  if (before.beta === beta) return `beta ${beta} is what the job has been run with already`;
  return `${next}; it has been run with another beta already, so also ${beginAnew(before.folder)}`;
}

/** How a sweep ends, in words: what is there now and how its advice is followed. */
export function sweepEnd(
  output: string,
  { choice }: Sweep,
  { betas, keep, before }: SweepOptions & { before?: RunBefore | undefined },
): string {
  const kept = keep ? `the models are in ${betas.map((beta) => besideOutput(output, beta)).join(', ')}` : '';
  const nothing = 'no model was exported (--keep does)';
  return `${betas.length} betas are compared; ${keep ? kept : nothing}; ${advice(choice.beta, before)}`;
}

const nameOf = (beta: number): string => `beta-${beta}`;

/** Folders below a job's checkpoints that a sweep keeps its own in. */
export const sweepFolders = ({ betas }: SweepOptions): string[] => betas.map(nameOf);

const besideOutput = (place: string, beta: number): string => `${place.replace(/\/$/, '')}-${nameOf(beta)}`;

/** The job with this beta, and with an output and a folder for checkpoints of its own. */
function runOf({ job, paths }: Run, beta: number): Run {
  const [name, { spec }] = [nameOf(beta), job];
  const beside = (place: string): string => besideOutput(place, beta);
  const output = { ...spec.output, source: beside(spec.output.source) };
  return {
    job: { ...job, spec: { ...spec, output, training: { ...spec.training, beta } } },
    paths: { ...paths, output: beside(paths.output), checkpoints: join(paths.checkpoints, name) },
  };
}

/** What a beta's preference stage works with, and where it stopped. */
function ofBeta(prepared: Prepared, beta: number, report: Reporter): Prepared {
  const { run, store, plan } = prepared.context;
  const [name, own] = [nameOf(beta), runOf(run, beta)];
  const context = {
    ...prepared.context,
    run: own,
    report,
    store: store.within(name),
    plan: `${plan}-${name}`,
    watch: new Watch({ run: own, report }, prepared.data.heldOut),
  };
  return { ...prepared, context, saved: context.store.newest(context.plan) };
}

/** Pushes a beta's model; where the output is on a claim it is there. */
async function pushKept({ context, data }: Prepared, beta: number): Promise<void> {
  const step = preferenceSteps(context, data.train.length);
  await pushOutput({ ...context, run: runOf(context.run, beta) }, { step, totalSteps: step });
}

const resultSchema = z.object({
  plan: z.string(),
  result: z.object({
    beta: z.number(),
    loss: z.number(),
    accuracy: z.number(),
    margin: z.number(),
    kl: z.number(),
    chosenLogProbChange: z.number(),
  }),
});
const resultFile = ({ context }: Prepared): string => join(context.run.paths.checkpoints, 'result.json');

/** The result of a beta that an earlier sweep has finished, unless its model is wanted and not there. */
function storedResult(own: Prepared, keep: boolean): BetaResult | undefined {
  const stored = resultSchema.safeParse(readSealed(resultFile(own)));
  if (!stored.success || stored.data.plan !== own.context.plan) return undefined;
  const { job, paths } = own.context.run;
  if (keep && !existsSync(join(paths.output, weightsFile[job.spec.output.format]))) return undefined;
  own.saved?.close();
  own.context.report.info(`beta ${stored.data.result.beta} is done already`);
  return stored.data.result;
}

/** `begin` sets the weights at the start, under which the chosen answers' mean log-probability is `before`. */
function trainBeta(
  own: Prepared,
  { keep, before, begin }: { keep: boolean; before: number; begin: () => void },
): BetaResult {
  const { context, heldOut } = own;
  const { learner, report, plan, fence, run } = context;
  begin();
  const at = prefer(own);
  const metrics = evaluate(learner, heldOut, () => report.beat());
  const result: BetaResult = {
    beta: run.job.spec.training.beta,
    loss: metrics.evalLoss as number,
    accuracy: metrics.evalRewardAccuracy as number,
    margin: metrics.evalRewardMargin as number,
    kl: metrics.evalKL as number,
    chosenLogProbChange: (metrics.evalLogpsChosen as number) - before,
  };
  if (keep) exportTrained(context, at);
  writeSealed(resultFile(own), { plan, result }, fence);
  // Only the result is wanted from now on.
  context.store.within('best').clear();
  context.store.clear();
  return result;
}

/** A beta's share of the progress of the whole sweep: steps are counted over all betas. */
function partOf(report: Reporter, index: number, count: number): Reporter {
  const shifted = ({ stage, step, totalSteps, stageStep, stageTotal, ...part }: ProgressPart): ProgressPart => ({
    ...part,
    // An export between two betas is no sign that the end is near.
    ...(stage !== undefined && (stage !== 'Exporting' || index + 1 === count) && { stage }),
    ...(totalSteps !== undefined && { step: (step ?? 0) + index * totalSteps, totalSteps: count * totalSteps }),
    ...(stageTotal !== undefined && {
      stageStep: (stageStep ?? 0) + index * stageTotal,
      stageTotal: count * stageTotal,
    }),
  });
  return { ...report, beat: (part = {}) => report.beat(shifted(part)) };
}
