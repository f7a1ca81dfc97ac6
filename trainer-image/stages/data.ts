import { createHash } from 'node:crypto';
import { fileDigest } from '../checkpoint/store.ts';
import type { Run } from '../config.ts';
import { loadExamples, loadPairs, type DroppedCounts } from '../data/load.ts';
import type { Example, Pair } from '../data/pair.ts';
import { loadTokenizer } from '../data/tokenizer.ts';
import { TrainerError } from '../errors.ts';
import { readConfig } from '../model/config.ts';
import { weightFiles } from '../model/weights.ts';
import type { Reporter } from './context.ts';

/** All that a run trains and evaluates on. */
export interface RunData {
  train: Pair[];
  heldOut: Pair[];
  examples: Example[];
  dropped: DroppedCounts;
  truncated: number;
}

/** Reads and tokenises every data set of the job. Throws InvalidData with the line. */
export async function loadData({ job, paths }: Run, report: Reporter): Promise<RunData> {
  const { dataset, training, sft, model } = job.spec;
  const tokenizer = loadTokenizer(paths.model, model.chatTemplate);
  const onRow = (rows: number): void => {
    if (rows % 50 === 0) report.beat({ stage: 'Data', stageStep: rows, stageTotal: 0 });
  };
  // A file of its own for evaluation takes the place of the hold-out.
  const holdout = paths.evalDataset === undefined ? dataset.holdout : 0;
  const options = { columns: dataset.columns, maxLength: training.maxLength, onRow, holdout, format: dataset.format };
  const pairs = await loadPairs(paths.dataset, tokenizer, { ...options, maxPairs: dataset.maxPairs });
  if (pairs.train.length === 0)
    throw new TrainerError('InvalidData', 'dataset.holdout leaves no pair to train on: lower it');
  const heldOut =
    paths.evalDataset === undefined ? pairs.heldOut : (await loadPairs(paths.evalDataset, tokenizer, options)).train;
  const tuning =
    sft === undefined
      ? undefined
      : await loadExamples(paths.sftDataset ?? paths.dataset, tokenizer, {
          ...options,
          ...tuningOptions(job.spec),
        });
  const dropped: DroppedCounts = { ...pairs.dropped };
  for (const [reason, rows] of Object.entries(tuning?.dropped ?? {})) dropped[`SFT${reason}`] = rows;
  return { train: pairs.train, heldOut, examples: tuning?.examples ?? [], dropped, truncated: pairs.truncated };
}

/** What SFT has of its own, else of the preference data. */
const tuningOptions = ({ sft, dataset, training }: Run['job']['spec']) => ({
  maxLength: sft?.maxLength ?? training.maxLength,
  format: sft?.dataset === undefined ? dataset.format : sft.dataset.format,
});

/** What a checkpoint belongs to: the model's settings and weights, every token of the data, and the plan of training. */
export function planDigest(run: Run, data: RunData, report: Reporter): string {
  const { model, dataset, sft, training } = run.job.spec;
  const hash = createHash('sha256').update(
    JSON.stringify([model, dataset, sft, training, readConfig(run.paths.model)]),
  );
  // A model that has been replaced at the same path is another model.
  for (const file of weightFiles(run.paths.model)) hash.update(fileDigest(file, () => report.beat()));
  for (const { prompt, chosen, rejected } of [...data.train, ...data.heldOut]) {
    for (const tokens of [prompt, chosen, rejected]) hash.update(tokens).update('|');
  }
  for (const { prompt, completion } of data.examples) hash.update(prompt).update('|').update(completion).update('|');
  return hash.digest('hex');
}
