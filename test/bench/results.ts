import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { caseNames, type CaseName, type Setting } from './cases.ts';
import { ratioOf } from './figures.ts';
import type { StepFigures } from './side.ts';
import { folder } from './workload.ts';

/** Two steps of TRL in one of its settings. */
export interface Probe {
  seconds: number;
  peakMiB: number;
}

/** A duel as it was measured: every step of both sides, those that do not count included. */
export interface CaseResult {
  /** TRL's fastest setting, in which it took its part. */
  setting: Setting;
  probes: Partial<Record<Setting, Probe>>;
  trl: StepFigures[];
  ours: StepFigures[];
  /** Other work on the machine during the duel: its load average in the minute at the end, to which the duel adds two. */
  load: number;
}

export interface EpochSide {
  referenceSeconds: number;
  /** Of all steps. */
  trainSeconds: number;
  heldOutLoss: number;
}

export interface EpochResult {
  setting: Setting;
  pairs: number;
  trl: EpochSide;
  ours: EpochSide;
}

export interface Results {
  /** When the run began: tells one run from the next. */
  started: string;
  /** What was measured: a hash of the trainer's and the benchmark's sources. */
  sources: string;
  machine: { processor: string; cores: number };
  versions: Record<string, string>;
  cases: Partial<Record<CaseName, CaseResult>>;
  epoch?: EpochResult;
  /** The median ratios of the runs of the same sources on the same machine before, the latest first. */
  earlier: Partial<Record<CaseName, number>>[];
}

/** Committed: what docs/performance.md shows and later runs are compared with. */
export const committed = join(import.meta.dirname, 'result.json');
/** Of the run under way: it goes on where it was stopped. */
const unfinished = join(folder, 'peer.json');

const read = (file: string): Results | undefined =>
  existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : undefined;

function write(file: string, results: Results): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
}

export const readCommitted = (): Results | undefined => read(committed);
export const save = (results: Results): void => write(unfinished, results);

/** Whether every case has been measured. */
export const isComplete = ({ cases, epoch }: Results): boolean =>
  caseNames.every((name) => cases[name] !== undefined) && epoch !== undefined;

/** How many times faster ours was in a case: the median of its rounds. */
export const medianRatio = ({ trl, ours }: CaseResult): number => ratioOf(trl, ours, ({ seconds }) => seconds).median;

const sameMeasured = (a: Results, b: Results): boolean =>
  a.sources === b.sources && JSON.stringify(a.machine) === JSON.stringify(b.machine);

/** Puts a complete run in the place of the one before; of one that measured the same, it keeps the ratios. */
export function commit(results: Results): Results {
  const before = readCommitted();
  const ratios = (run: Results): Results['earlier'][number] =>
    Object.fromEntries(Object.entries(run.cases).map(([name, result]) => [name, medianRatio(result)]));
  const earlier =
    before === undefined || !sameMeasured(before, results) ? [] : [ratios(before), ...before.earlier].slice(0, 2);
  const whole = { ...results, earlier };
  write(committed, whole);
  rmSync(unfinished, { force: true });
  return whole;
}

const measuredFiles = /^(?!.*node_modules).*\.(ts|cc|h|py|txt)$/;

function sourcesDigest(): string {
  const hash = createHash('sha256');
  for (const root of ['trainer-image', 'test/bench']) {
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => measuredFiles.test(file));
    for (const file of files.toSorted()) hash.update(`${file}\n`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** What an earlier run with the same sources on the same machine has measured, or nothing yet. */
export function openResults(versions: Record<string, string>): Results {
  const machine = { processor: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() };
  const started = new Date().toISOString();
  const fresh: Results = { started, sources: sourcesDigest(), machine, versions, cases: {}, earlier: [] };
  const before = read(unfinished);
  return before !== undefined && sameMeasured(before, fresh) ? before : fresh;
}
