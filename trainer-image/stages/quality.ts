import { join } from 'node:path';
import type { DataCounts } from '../../crds/progress.ts';
import type { QualityPolicy, Thresholds } from '../../crds/quality.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';
import type { Run } from '../config.ts';
import type { DroppedCounts } from '../data/load.ts';
import type { Example, Pair } from '../data/pair.ts';
import { droppingChecks, findingsOf, noiseFinding, reasonIn, type Finding } from '../data/quality/findings.ts';
import { HeldOutPrompts, QualityGate } from '../data/quality/gate.ts';
import { rowChecks } from '../data/quality/row-checks.ts';
import type { Rows } from '../data/token-rows.ts';
import { percent } from '../data/quality/share.ts';
import { TrainerError } from '../errors.ts';
import type { PairSums } from '../reference/sums.ts';
import type { StageContext } from './context.ts';
import type { RunData } from './data.ts';

/** data-report.json: everything that the checks of dataset.quality found, with the worst rows by their line. */
export interface DataReport {
  policy: QualityPolicy;
  files: { preference: string; evaluation?: string | undefined; sft?: string | undefined };
  /** Rows checked. */
  rows: { preference: number; sft?: number };
  /** Rows left out, by reason. */
  dropped: DroppedCounts;
  findings: Finding[];
}

/** It stands beside the checkpoints, on the claim of the output, as soon as the data has been read. */
export const dataReportFile = (run: Run): string => join(run.paths.checkpoints, 'data-report.json');

/** What a job's data sets pass while they are read. */
export interface Gates {
  preference: QualityGate;
  sft: QualityGate;
  /** Prompts of dataset.evalSource. */
  evaluation: HeldOutPrompts;
}

/** Each with the longest row, in tokens, that its stage takes whole. */
export const createGates = (maxLength: number, sftMaxLength: number): Gates => ({
  preference: new QualityGate(maxLength),
  sft: new QualityGate(sftMaxLength),
  evaluation: new HeldOutPrompts(),
});

type Loaded = Pick<RunData, 'train' | 'heldOut' | 'examples' | 'dropped'>;

/** Rows that passed a gate. */
interface Passed<T> {
  kept: Rows<T>[];
  rows: number;
  findings: Finding[];
}

/** The data without the rows that the policy leaves out, and what the checks found. The same data always gives the same. */
export function passGates(run: Run, gates: Gates, data: Loaded): Loaded & { quality: DataReport } {
  const { dataset, sft } = run.job.spec;
  const dropped = { ...data.dropped };
  const checks = droppingChecks(dataset.quality);
  const pass = <T extends { row: number }>(name: Finding['dataset'], sets: Rows<T>[]): Passed<T> => {
    const verdict = gates[name].conclude(gates.evaluation);
    const stays = ({ row }: T): boolean => {
      const flaw = verdict.flawOf(row, checks);
      if (flaw === undefined) return true;
      const reason = reasonIn(name, rowChecks[flaw].reason);
      dropped[reason] = (dropped[reason] ?? 0) + 1;
      return false;
    };
    const kept = checks.length === 0 ? sets : sets.map((set) => set.filter(stays));
    return { kept, rows: verdict.rows, findings: findingsOf(name, verdict, dataset.quality.thresholds) };
  };
  const pairs = pass('preference', [data.train, data.heldOut]);
  const tuning = sft === undefined ? undefined : pass('sft', [data.examples]);
  const [train = [], heldOut = []] = pairs.kept;
  const [examples = []] = tuning?.kept ?? [];
  const left = { train, heldOut, examples, dropped, quality: dataReport(run, dropped, pairs, tuning) };
  if (train.length === 0 || (sft !== undefined && examples.length === 0)) throw nothingLeft(dropped);
  return left;
}

function dataReport(
  { job, paths }: Run,
  dropped: DroppedCounts,
  pairs: Passed<Pair>,
  sft: Passed<Example> | undefined,
): DataReport {
  return {
    policy: job.spec.dataset.quality.policy,
    files: {
      preference: paths.dataset,
      evaluation: paths.evalDataset,
      sft: sft && (paths.sftDataset ?? paths.dataset),
    },
    rows: { preference: pairs.rows, ...(sft && { sft: sft.rows }) },
    dropped,
    findings: [...pairs.findings, ...(sft?.findings ?? [])],
  };
}

function nothingLeft(dropped: DroppedCounts): TrainerError {
  const reasons = Object.entries(dropped).map(([reason, rows]) => `${rows} ${reason}`);
  const message = `dataset.quality.policy Drop leaves no row to train on (left out: ${reasons.join(', ')}): mend the data, or set its threshold to 1`;
  return new TrainerError('InvalidData', message);
}

/** What status and metrics show of the data. */
export function dataCounts({ train, heldOut, dropped, quality }: RunData): DataCounts {
  const counted = quality.findings.filter(({ rows }) => rows !== undefined);
  const measured = quality.findings.filter(({ rows, dataset, value }) => {
    return rows === undefined && dataset === 'preference' && Number.isFinite(value);
  });
  return {
    pairs: train.length,
    heldOut: heldOut.length,
    dropped,
    findings: Object.fromEntries(
      counted.map(({ dataset, reason, rows }) => [reasonIn(dataset, reason), rows as number]),
    ),
    measures: Object.fromEntries(measured.map(({ check, value }) => [check, Number(value.toPrecision(6))])),
  };
}

/** Where findings are told, and where the report is written. */
type Place = Pick<StageContext, 'run' | 'report' | 'fence'>;

/**
 * Writes the report, tells the counts and warns of every finding that is beyond its threshold. Throws InvalidData with
 * check, share, threshold and first lines when the policy is Fail.
 */
export function actOnFindings({ run, report, fence }: Place, data: RunData, findings = data.quality.findings): void {
  const file = dataReportFile(run);
  writing(file, () => writeDurably(file, `${JSON.stringify(data.quality, null, 2)}\n`, () => fence.check()));
  const beyond = findings.filter((finding) => finding.beyond);
  for (const finding of beyond) {
    report.warn(reasonIn(finding.dataset, finding.reason), `${finding.summary}. ${whatNow(data.quality, finding)}`);
  }
  if (beyond.length > 0) report.info(`the worst rows, by line and reason: ${file}`);
  report.beat({ data: dataCounts(data) });
  if (beyond.length > 0 && data.quality.policy === 'Fail') throw failure(data.quality, beyond, file);
}

const whatNow = ({ policy }: DataReport, { rows, advice }: Finding): string =>
  policy === 'Drop' && rows !== undefined ? 'They are left out' : advice;

function failure({ files }: DataReport, beyond: readonly Finding[], report: string): TrainerError {
  const told = beyond.map(({ check, dataset, threshold, summary }) => {
    const shown = isShare(check) ? percent(threshold) : String(threshold);
    return `${files[dataset]}: ${summary}; dataset.quality.thresholds.${check} is ${shown}`;
  });
  return new TrainerError('InvalidData', `dataset.quality.policy is Fail. ${told.join('. ')}. More in ${report}`);
}

const isShare = (check: keyof Thresholds): boolean => !['promptDiversity', 'ngramDiversity'].includes(check);

/** Judges the preferences by the reference's margins per token; `reference` has the training pairs first. */
export function judgeLabels(place: Place, data: RunData, reference: PairSums): void {
  const margins = new Float64Array(data.train.length);
  const rows = new Uint32Array(data.train.length);
  const lengths = new Int32Array(data.train.length);
  let i = 0;
  for (const pair of data.train) {
    const { chosen, rejected } = reference.at(i);
    margins[i] = chosen / pair.chosen.length - rejected / pair.rejected.length;
    rows[i] = pair.row;
    lengths[i] = pair.chosen.length - pair.rejected.length;
    i += 1;
  }
  const finding = noiseFinding({ margins, rows, lengths }, place.run.job.spec.dataset.quality.thresholds.labelNoise);
  data.quality.findings.push(finding);
  actOnFindings(place, data, [finding]);
}
