import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { caseNames, type CaseName, type Setting } from './cases.ts';
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

export interface Machine {
  processor: string;
  cores: number;
}

export interface Results {
  /** When the run began: tells one run from the next. */
  started: string;
  /** What was measured: a hash of the step's and the benchmark's sources. */
  sources: string;
  machine: Machine;
  versions: Record<string, string>;
  cases: Partial<Record<CaseName, CaseResult>>;
  epoch?: EpochResult;
  /** What must be known to read it beside others. */
  note?: string;
  /** The runs of the same sources on the same machine before, the latest first. */
  earlier: Run[];
}

/** What is kept of a run, as shares and ratios. */
export interface Run {
  started: string;
  cases: Partial<Record<CaseName, Summary>>;
}

export interface Summary {
  /** TRL's fastest. */
  setting: Setting;
  /** TRL's seconds in all rounds that count by ours; the median of the rounds. */
  timesFaster: number;
  median: number;
  /** Ours by TRL's peak memory, in its fastest and in its leanest setting. */
  ofFastest: number;
  ofLeanest: number;
  ofMatmulLimit: number;
}

/** Committed: the last run of each machine, which docs/performance.md shows and later runs there are compared with. */
const committed = join(import.meta.dirname, 'results');
const fileOf = ({ processor, cores }: Machine): string => {
  const words = processor.replaceAll(/\(\w+\)|processor|cpu/gi, '').match(/[a-z0-9]+/gi) ?? ['unknown'];
  return join(committed, `${words.join('-').toLowerCase()}-${cores}.json`);
};
export const thisMachine = (): Machine => ({ processor: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() });

/** Of the run under way: it goes on where it was stopped. */
const unfinished = join(folder, 'peer.json');

const read = (file: string): Results | undefined =>
  existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : undefined;

function write(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
}

/** The last run on this machine. */
export const readCommitted = (): Results | undefined => read(fileOf(thisMachine()));
/** Those of all machines, the latest first. */
export const allCommitted = (): Results[] =>
  readdirSync(committed)
    .map((name) => read(join(committed, name)) as Results)
    .toSorted((a, b) => (a.started < b.started ? 1 : -1));
export const save = (results: Results): void => write(unfinished, results);

/** Whether every case has been measured. */
export const isComplete = ({ cases, epoch }: Results): boolean =>
  caseNames.every((name) => cases[name] !== undefined) && epoch !== undefined;

/** Whether two runs measured the same: then their figures may stand side by side. */
export const sameMeasured = (a: Results, b: Results): boolean =>
  a.sources === b.sources && JSON.stringify(a.machine) === JSON.stringify(b.machine);

/** Puts a complete run in the place of the one before on its machine. */
export function commit(results: Results): void {
  write(fileOf(results.machine), results);
  rmSync(unfinished, { force: true });
}

/** What an optimizer step is made of, and what measures it. */
const measuredRoots = [
  ...['data', 'engine', 'loss', 'model', 'optimizer', 'stages'].map((name) => `trainer-image/${name}`),
  'test/bench',
];
const measuredFiles = /^(?!scale\/).*(\.(ts|cc|h|py|txt)|-lengths\.json)$/;

function sourcesDigest(): string {
  const hash = createHash('sha256');
  for (const root of measuredRoots) {
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => measuredFiles.test(file));
    for (const file of files.toSorted()) hash.update(`${root}/${file}\n`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** What an earlier run with the same sources on the same machine has measured, or nothing yet. */
export function openResults(versions: Record<string, string>): Results {
  const machine = thisMachine();
  const started = new Date().toISOString();
  const fresh: Results = { started, sources: sourcesDigest(), machine, versions, cases: {}, earlier: [] };
  const before = read(unfinished);
  return before !== undefined && sameMeasured(before, fresh) ? before : fresh;
}
