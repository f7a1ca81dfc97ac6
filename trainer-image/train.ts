import { needsReference } from '../crds/losses.ts';
import type { Progress } from '../crds/progress.ts';
import { takeFence } from './checkpoint/fence.ts';
import { CheckpointStore, type Checkpoint } from './checkpoint/store.ts';
import type { Run } from './config.ts';
import type { Pair } from './data/pair.ts';
import { joined } from './data/token-rows.ts';
import { klPairs, type HeldOut } from './evaluate.ts';
import { exportModel } from './export/export.ts';
import { checkLengths } from './model/embedding.ts';
import { splitPairs } from './model/groups.ts';
import { Learner, type StateTensor } from './model/learner.ts';
import { fetchSources } from './sources/fetch.ts';
import { settleComputePlan, tellRecordings } from './stages/compute-plan.ts';
import { note, type Reporter, type StageContext } from './stages/context.ts';
import { checkTokens, loadData, planDigest, type RunData } from './stages/data.ts';
import { Evaluation } from './stages/evaluation.ts';
import { optimisePreference, preferenceSteps } from './stages/preference.ts';
import { actOnFindings, dataCounts, judgeLabels } from './stages/quality.ts';
import { rawPreference, referencePass, type Reference } from './stages/reference.ts';
import { fineTune, sftSteps } from './stages/sft.ts';
import { saveCheckpoint } from './stages/steps.ts';
import { Watch } from './stages/watch.ts';

/**
 * One run from its start, or from where an earlier one stopped, to the exported model:
 * fetch and load -> data -> fine-tuning -> reference log-probabilities -> preference optimization -> evaluation -> export.
 * Throws Stopped when asked to stop (with a checkpoint saved), else a TrainerError with its reason.
 */
export async function train(run: Run, holder: string, report: Reporter): Promise<void> {
  const started = performance.now();
  const prepared = prepare(await load(run, holder, report));
  const at = prefer(prepared);
  const output = exportTrained(prepared.context, at);
  tellRecordings(started, report);
  // The model is there: a stop that comes now comes too late.
  note(report, { stage: 'Done', ...at, output });
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

  const data = await loadData(run, report);
  checkTokens(data, learner.network.architecture.config.vocabSize);
  const plan = planDigest(run, data, report);
  const totalSteps = preferenceSteps({ run }, data.train.length);
  report.beat({ stage: 'Data', totalSteps, data: dataCounts(data) });

  const fence = takeFence(run.paths.checkpoints, holder);
  actOnFindings({ run, report, fence }, data);
  const store = new CheckpointStore(run.paths.checkpoints, fence, (message) =>
    report.warn('CheckpointSkipped', message),
  );
  const watch = new Watch({ run, report }, data.heldOut);
  const context: StageContext = { run, learner, store, fence, plan, report, watch };
  settleComputePlan(context);
  const saved = store.newest(plan);
  if (saved !== undefined) report.info(`resuming at step ${saved.step} of stage ${saved.stage}`);
  return { context, data, saved };
}

/** A run whose preference stage can begin. */
export interface Prepared extends Loaded {
  /** In the order of the training pairs; undefined where no loss needs it. */
  reference: Reference | undefined;
  heldOut: HeldOut;
}

/** Fine-tunes and computes the reference, or takes what an earlier run has done of it. */
export function prepare({ context, data, saved }: Loaded): Prepared {
  tuneOrRestoreStart(context, data, saved);
  const { reference, heldOut } = prepareReference(context, data);
  return { context, data, reference, heldOut, saved };
}

/** Steps of the preference stage that are done, and all that were planned. */
export interface At {
  step: number;
  totalSteps: number;
}

/** The preference stage from the learner's weights, or from where it stopped; it leaves the weights to export. */
export function prefer({ context, data, reference, heldOut, saved }: Prepared): At {
  const { learner, run, watch, fence } = context;
  const totalSteps = preferenceSteps(context, data.train.length);
  learner.startStage(run.job.spec.training);
  const resumed = saved?.stage === 'Training' ? saved : undefined;
  const figures = { ...resumed?.figures };
  watch.history.resumeAt(resumed?.step ?? -1, () => fence.check());
  const evaluation = new Evaluation(context, heldOut, { totalSteps, figures });
  if (resumed === undefined) evaluation.at(0);
  else learner.restore(resumed.read);
  saved?.close();
  optimisePreference(context, { pairs: data.train, reference, evaluation }, { step: resumed?.step ?? 0, figures });
  const lastStep = evaluation.stoppedAt ?? totalSteps;
  evaluation.at(lastStep);
  evaluation.loadBest(lastStep);
  return { step: lastStep, totalSteps };
}

/** Exports the learner's weights to the job's output. */
export function exportTrained({ run, learner, report, fence }: StageContext, at: At): Progress['output'] {
  const { source } = run.job.spec.output;
  report.info(`exporting the model to ${source}`);
  report.beat({ stage: 'Exporting', ...at });
  const { chatTemplate } = run.job.spec.model;
  const weights = learner.weights().map((weight) => beating(weight, report));
  const exported = { raw: learner.network.raw, weights, chatTemplate };
  const digest = exportModel(run.paths.model, run.paths.output, exported, () => fence.check());
  return { source, digest };
}

function loadModel({ paths, job }: Run, report: Reporter): Learner {
  const { training, sft } = job.spec;
  const learner = new Learner(paths.model, training);
  report.info(`model loaded: ${learner.parameterCount} parameters`);
  const lengths = { 'training.maxLength': training.maxLength, 'sft.maxLength': sft?.maxLength };
  checkLengths(learner.network.architecture, lengths);
  return learner;
}

/** Keeps the weights at the start of the preference stage, whatever becomes of the policy. */
export const startStore = ({ store }: StageContext): CheckpointStore => store.within('start');

/** Weights at the start of the preference stage: fine-tuned now, or as an earlier run left them. */
function tuneOrRestoreStart(context: StageContext, data: RunData, saved: Checkpoint | undefined): void {
  const { learner, run } = context;
  if (run.job.spec.sft === undefined) return;
  const start = startStore(context);
  const finished = start.newest(context.plan);
  if (finished !== undefined) {
    learner.restore(finished.read);
    finished.close();
    return;
  }
  learner.startStage();
  if (saved?.stage === 'SFT') learner.restore(saved.read);
  fineTune(context, data, saved?.stage === 'SFT' ? saved.step : 0);
  // Kept for the whole run: the reference is these weights, whatever becomes of the policy.
  saveCheckpoint({ ...context, store: start }, { stage: 'SFT', figures: () => ({}) }, sftSteps(context, data.examples));
}

/** A tensor that beats when it is read to be written. */
const beating = ({ read, ...tensor }: StateTensor, report: Reporter): StateTensor => ({
  ...tensor,
  read: () => {
    report.beat();
    return read();
  },
});

/** The reference's log-probabilities of all pairs, and what held-out KL needs, from the present weights. */
function prepareReference(context: StageContext, data: RunData) {
  const { learner, report, run } = context;
  const { training } = run.job.spec;
  const all = needsReference(training) ? referencePass(context, joined(data.train, data.heldOut)) : undefined;
  const reference = all?.slice(0, data.train.length);
  const ofHeldOut = all?.slice(data.train.length);
  if (reference !== undefined) judgeLabels(context, data, reference);
  for (const pair of data.heldOut.slice(0, klPairs)) {
    learner.heldOutKl.capture([pair]);
    report.beat({ stage: 'Reference' });
  }
  if (ofHeldOut !== undefined && ofHeldOut.length > 0) {
    const share = rawPreference(ofHeldOut);
    report.info(`the reference finds the chosen answer likelier in ${(100 * share).toFixed(1)} % of held-out pairs`);
  }
  const byRow = ofHeldOut && new Map(data.heldOut.map((pair, i) => [pair.row, ofHeldOut[i] as Reference[number]]));
  const batches: Pair[][] = splitPairs(data.heldOut, training.microBatchTokens);
  return { reference, heldOut: { batches, reference: byRow } };
}
