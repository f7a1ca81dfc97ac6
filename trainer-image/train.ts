import { takeFence } from './checkpoint/fence.ts';
import { keepPlan, mismatch, planDigest } from './checkpoint/plan.ts';
import { CheckpointStore, type Checkpoint } from './checkpoint/store.ts';
import type { Run } from './config.ts';
import type { HeldOut } from './evaluate.ts';
import { checkLengths } from './model/embedding.ts';
import { Learner } from './model/learner.ts';
import { checkPush, pushOutput } from './push/push.ts';
import { checkReferenceModel } from './reference/check.ts';
import { modelDigest } from './reference/identity.ts';
import { fetchSources } from './sources/fetch.ts';
import { warnOfOtherBase } from './stages/adapter-base.ts';
import { compareOrWarn } from './stages/comparison.ts';
import { settleComputePlan, tellRecordings } from './stages/compute-plan.ts';
import { note, type Reporter, type StageContext } from './stages/context.ts';
import { checkTokens, loadData, planOf, type RunData } from './stages/data.ts';
import { Evaluation } from './stages/evaluation.ts';
import { checkOutputOwner, exportTrained, type At } from './stages/export.ts';
import { optimisePreference, preferenceSteps } from './stages/preference.ts';
import { actOnFindings, dataCounts } from './stages/quality.ts';
import { questionsOf } from './stages/questions.ts';
import { prepareReference, type Reference } from './stages/reference.ts';
import { writeReport } from './stages/report.ts';
import { tuneOrRestoreStart } from './stages/start.ts';
import { Watch } from './stages/watch.ts';

/**
 * One run from its start, or from where an earlier one stopped, to the exported model:
 * fetch and load -> data -> fine-tuning -> reference log-probabilities -> preference optimization -> evaluation -> comparison -> export, and push.
 * Returns what has been done, in words. Throws Stopped when asked to stop (with a checkpoint saved), else a TrainerError with
 * its reason.
 */
export async function train(run: Run, holder: string, report: Reporter): Promise<string> {
  const started = performance.now();
  checkOutputOwner(run);
  await checkPush(run, report);
  const loaded = await load(run, holder, report);
  const questions = questionsOf(loaded.context.run, loaded.data.heldOut, loaded.context.positions);
  const prepared = prepare(loaded);
  const complete = trainedBefore(prepared);
  if (complete !== undefined) report.info(complete);
  const at = prefer(prepared);
  const samples = compareOrWarn(prepared.context, questions, prepared.reference?.live);
  writeReport(prepared.context, prepared.data, { samples, at });
  const output = exportTrained(prepared.context, at);
  await pushOutput(prepared.context, at);
  tellRecordings(started, report);
  // The model is there: a stop that comes now comes too late.
  note(report, { stage: 'Done', ...at, output });
  return complete ?? 'training, evaluation and export are done';
}

/** That nothing is left to train, in words; undefined where something is. */
function trainedBefore({ context, data, saved }: Prepared): string | undefined {
  if (saved?.stage !== 'Training') return undefined;
  const last = saved.figures['stoppedStep'] ?? preferenceSteps(context, data.train.length);
  if (saved.step < last) return undefined;
  return `training was complete already, at step ${saved.step}: its result is exported to ${context.run.job.spec.output.source}`;
}

/** A run with its model and data, and the checkpoint from which it goes on. */
export interface Loaded {
  context: StageContext;
  data: RunData;
  saved: Checkpoint | undefined;
}

/** Fetches and loads the model and the data, and takes the checkpoint folder. */
export async function load(asked: Run, holder: string, report: Reporter): Promise<Loaded> {
  report.beat({ stage: 'Loading' });
  const run = await fetchSources(asked, report);
  const learner = loadModel(run, report);
  warnOfOtherBase(run, report);

  const { architecture } = learner.network;
  const judge = checkReferenceModel(run, architecture);
  const data = await loadData(run, report);
  report.info(`${data.train.length} pairs to train on, ${data.heldOut.length} held out`);
  const beat = (): void => report.beat();
  checkTokens(data, architecture.config.vocabSize, beat);
  const model = modelDigest(run.paths.model, beat, run.paths.adapter);
  const reference = run.paths.reference && modelDigest(run.paths.reference, beat);
  const models = [model, ...(reference === undefined ? [] : [reference])];
  const parts = planOf(run, data, { models, precision: architecture.precision, beat });
  const plan = planDigest(parts);
  const totalSteps = preferenceSteps({ run }, data.train.length);
  tellFewSteps(totalSteps, run, report);
  report.beat({ stage: 'Data', totalSteps, data: dataCounts(data) });

  const fence = takeFence(run.paths.checkpoints, holder);
  actOnFindings({ run, report, fence }, data);
  const { checkpoints } = run.paths;
  const store = new CheckpointStore(checkpoints, fence, {
    skipped: (message) => report.warn('CheckpointSkipped', message),
    mismatch: () => mismatch(checkpoints, parts),
    beat: () => note(report, {}),
  });
  const watch = new Watch({ run, report }, data.heldOut);
  const computePlan = settleComputePlan({ run, learner, fence, report });
  const context: StageContext = {
    run,
    learner,
    store,
    fence,
    plan,
    computePlan,
    modelDigest: model,
    referenceDigest: reference,
    positions: Math.min(architecture.positions?.size ?? Infinity, judge?.positions?.size ?? Infinity),
    report,
    watch,
  };
  const saved = store.newest(plan);
  keepPlan(checkpoints, parts, fence);
  if (saved !== undefined) report.info(`resuming at step ${saved.step} of stage ${saved.stage}`);
  return { context, data, saved };
}

/** A step or two of many pairs each teach little, and it looks like a result. */
function tellFewSteps(steps: number, { job }: Run, report: Reporter): void {
  const { batchSize, maxSteps } = job.spec.training;
  if (steps >= 10 || maxSteps !== undefined) return;
  report.info(
    `only ${steps} optimizer steps of ${batchSize} pairs: training.batchSize may be too large for so few pairs`,
  );
}

/** A run whose preference stage can begin. */
export interface Prepared extends Loaded {
  /** Undefined where no loss needs it. */
  reference: Reference | undefined;
  heldOut: HeldOut;
}

/** Fine-tunes and computes the reference, or takes what an earlier run has done of it. */
export function prepare({ context, data, saved }: Loaded): Prepared {
  tuneOrRestoreStart(context, data, saved);
  const { reference, heldOut } = prepareReference(context, data);
  return { context, data, reference, heldOut, saved };
}

/** Sets the policy, and a reference that follows it, to what a checkpoint of the preference stage holds. */
function restore({ read }: Checkpoint, learner: Learner, reference: Reference | undefined): void {
  learner.restore(read);
  reference?.live?.restore(read);
}

/** The preference stage from the learner's weights, or from where it stopped; it leaves the weights to export. */
export function prefer({ context, data, reference, heldOut, saved }: Prepared): At {
  const { learner, run, watch, fence } = context;
  const totalSteps = preferenceSteps(context, data.train.length);
  learner.startStage(run.job.spec.training);
  const resumed = saved?.stage === 'Training' ? saved : undefined;
  const figures = { ...resumed?.figures };
  watch.resumeAt(resumed?.step ?? -1, () => fence.check());
  const evaluation = new Evaluation(context, heldOut, { totalSteps, figures });
  if (resumed === undefined) evaluation.at(0);
  else restore(resumed, learner, reference);
  saved?.close();
  optimisePreference(context, { pairs: data.train, reference, evaluation }, { step: resumed?.step ?? 0, figures });
  const lastStep = evaluation.stoppedAt ?? totalSteps;
  evaluation.at(lastStep);
  evaluation.loadBest(lastStep);
  return { step: lastStep, totalSteps };
}

function loadModel({ paths, job }: Run, report: Reporter): Learner {
  const { training, sft } = job.spec;
  const learner = new Learner(paths.model, training, { adapter: paths.adapter, beat: () => report.beat() });
  const from = paths.adapter === undefined ? '' : ` from ${paths.adapter}`;
  const trained =
    training.lora === undefined ? '' : `, of adapters${from} ${learner.trainedCount}, which alone are trained`;
  report.info(`model loaded: ${learner.parameterCount} parameters${trained}`);
  const lengths = { 'training.maxLength': training.maxLength, 'sft.maxLength': sft?.maxLength };
  checkLengths(learner.network.architecture, lengths);
  return learner;
}
