import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { createHash } from 'node:crypto';
import type { Run } from '../config.ts';
import { loadExamples, loadPairs, type DroppedCounts, type LoadOptions } from '../data/load.ts';
import type { Example, Pair } from '../data/pair.ts';
import { joined, type Rows } from '../data/token-rows.ts';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer.ts';
import type { Plan } from '../checkpoint/plan.ts';
import { TrainerError } from '../errors.ts';
import type { Precision } from '../model/products.ts';
import type { Reporter } from './context.ts';
import { createGates, passGates, type DataReport } from './quality.ts';

/** All that a run trains and evaluates on. */
export interface RunData {
  train: Rows<Pair>;
  heldOut: Rows<Pair>;
  examples: Rows<Example>;
  dropped: DroppedCounts;
  quality: DataReport;
}

/** Reads and tokenises every data set of the job. Throws InvalidData with the line. */
export async function loadData(run: Run, report: Reporter): Promise<RunData> {
  const { job, paths } = run;
  const { dataset, training, model } = job.spec;
  const tokenizer = loadTokenizer(paths.model, model.chatTemplate);
  const onRow = (rows: number): void => {
    if (rows % 50 === 0) report.beat({ stage: 'Data', stageStep: rows, stageTotal: 0 });
  };
  // A file of its own for evaluation takes the place of the hold-out.
  const holdout = paths.evalDataset === undefined ? dataset.holdout : 0;
  const folder = paths.checkpoints;
  const options = {
    columns: dataset.columns,
    maxLength: training.maxLength,
    onRow,
    holdout,
    format: dataset.format,
    folder,
  };
  const gates = createGates(training.maxLength, tuningOptions(job.spec).maxLength);
  const inspect = gates.preference.see;
  const pairs = await loadPairs(paths.dataset, tokenizer, {
    ...options,
    maxPairs: dataset.maxPairs,
    parts: paths.parts,
    inspect,
  });
  if (pairs.train.length === 0)
    throw new TrainerError('InvalidData', 'dataset.holdout leaves no pair to train on: lower it');
  const evaluation =
    paths.evalDataset === undefined
      ? undefined
      : await loadPairs(paths.evalDataset, tokenizer, { ...options, inspect: gates.evaluation.see });
  const tuning = await loadTuning(run, tokenizer, { ...options, inspect: gates.sft.see });
  const dropped = { ...pairs.dropped, ...tuning.dropped };
  const loaded = { train: pairs.train, heldOut: pairs.heldOut, examples: tuning.examples, dropped };
  const passed = passGates(run, gates, loaded);
  const data = evaluation === undefined ? passed : { ...passed, heldOut: evaluation.train };
  checkHeldOut(data.heldOut, job.spec.evaluation);
  return data;
}

/** Rows of the SFT stage; its reasons begin with SFT. */
async function loadTuning(
  { job, paths }: Run,
  tokenizer: Tokenizer,
  options: LoadOptions & { holdout: number },
): Promise<{ examples: Rows<Example>; dropped: DroppedCounts }> {
  if (job.spec.sft === undefined) return { examples: [], dropped: {} };
  const file = paths.sftDataset ?? paths.dataset;
  const { examples, dropped } = await loadExamples(file, tokenizer, {
    ...options,
    ...tuningOptions(job.spec),
    parts: paths.sftDataset === undefined ? paths.parts : undefined,
  });
  const reasons = Object.entries(dropped).map(([reason, rows]) => [`SFT${reason}`, rows]);
  return { examples, dropped: Object.fromEntries(reasons) as DroppedCounts };
}

/** What SFT has of its own, else of the preference data. */
const tuningOptions = ({ sft, dataset, training }: Run['job']['spec']) => ({
  maxPairs: sft?.dataset === undefined ? dataset.maxPairs : undefined,
  maxLength: sft?.maxLength ?? training.maxLength,
  format: sft?.dataset === undefined ? dataset.format : sft.dataset.format,
});

/** Throws InvalidData when no pair is held out and the run is to be judged by such pairs. */
function checkHeldOut(heldOut: Rows<Pair>, { earlyStopping, loadBestModelAtEnd }: DPOJobSpec['evaluation']): void {
  if (heldOut.length > 0 || (earlyStopping === undefined && loadBestModelAtEnd !== true)) return;
  const message = 'evaluation.earlyStopping and loadBestModelAtEnd need held-out pairs and there is none';
  throw new TrainerError('InvalidData', `${message}: raise dataset.holdout or set dataset.evalSource`);
}

/**
 * Throws InvalidConfiguration for a token that the model has no row for. Before any compute: TensorFlow would find it late
 * on a CPU, and a GPU never.
 */
export function checkTokens(data: RunData, vocabSize: number, beat: () => void): void {
  const check = (row: number, parts: readonly Int32Array[]): void => {
    const token = parts.map((part) => part.find((id) => id >= vocabSize)).find((id) => id !== undefined);
    if (token === undefined) return;
    const message = `row ${row} has the token ${token} and config.json a vocab_size of ${vocabSize}: does tokenizer.json belong to this model?`;
    throw new TrainerError('InvalidConfiguration', message);
  };
  for (const { row, prompt, chosen, rejected } of beating(joined(data.train, data.heldOut), beat))
    check(row, [prompt, chosen, rejected]);
  for (const { row, prompt, completion } of beating(data.examples, beat)) check(row, [prompt, completion]);
}

/** The rows, with a beat now and then: many take longer than a stop may wait. */
function* beating<T>(rows: Iterable<T>, beat: () => void): Generator<T> {
  let count = 0;
  for (const row of rows) {
    yield row;
    if (++count % 10_000 === 0) beat();
  }
}

/**
 * What a checkpoint belongs to: the models' settings and weights, every token of the data, and the plan of training.
 * `models`: their digests, since a model that has been replaced at the same path is another model. `precision`: what `auto`
 * has become.
 */
export function planOf(
  run: Run,
  data: RunData,
  { models, precision, beat }: { models: readonly string[]; precision: Precision; beat: () => void },
): Plan {
  const { model, reference, dataset, sft, evaluation } = run.job.spec;
  const training = { ...run.job.spec.training, precision };
  const { metricForBest, loadBestModelAtEnd, earlyStopping } = evaluation;
  const best = { metricForBest, loadBestModelAtEnd, earlyStopping };
  const hash = createHash('sha256');
  for (const { prompt, chosen, rejected } of beating(joined(data.train, data.heldOut), beat)) {
    for (const tokens of [prompt, chosen, rejected]) hash.update(tokens).update('|');
  }
  for (const { prompt, completion } of beating(data.examples, beat))
    hash.update(prompt).update('|').update(completion).update('|');
  const settings = { model, reference, dataset, sft, training, evaluation: best };
  return { settings, models, tokens: hash.digest('hex') };
}
