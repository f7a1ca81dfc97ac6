import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { maxWarningLength, maxWarnings, type Metrics, type Progress, type Stage } from '../crds/progress.ts';
import { holdsCheckpoint } from './checkpoint/store.ts';
import type { Run } from './config.ts';
import { setEager } from './engine/engine.ts';
import { TrainerError } from './errors.ts';
import type { Sweep } from './metrics/choose-beta.ts';
import type { Work } from './metrics/names.ts';
import { counted } from './records.ts';
import { GraceWatch } from './stages/grace.ts';
import { Stopped, type ProgressPart, type Reporter } from './stages/context.ts';
import { runBefore, sweepBetas, sweepEnd, sweepFolders, type SweepOptions } from './sweep.ts';
import { train } from './train.ts';

/** What the main thread hands the training thread. */
export interface WorkerInput {
  run: Run;
  podUID: string;
  eager: boolean;
  /** Several betas instead of the job's own. */
  sweep?: SweepOptions | undefined;
  /** One 32-bit flag, not 0 when the run shall stop. */
  stop: SharedArrayBuffer;
}

/** What the training thread tells the main thread. */
export type WorkerMessage =
  | { kind: 'progress'; progress: Progress }
  | { kind: 'work'; work: Work }
  | { kind: 'info'; message: string }
  | { kind: 'warning'; reason: string; message: string }
  | { kind: 'sweep'; sweep: Sweep }
  | { kind: 'end'; reason: string; message: string };

const { run, podUID, eager, sweep, stop } = workerData as WorkerInput;
const flag = new Int32Array(stop);
const post = (message: WorkerMessage): void => parentPort?.postMessage(message, []);

/** Keeps the latest of every figure and makes whole records of the parts that the stages tell. */
function createReporter(): Reporter {
  const started = performance.now();
  let progress: Progress = {
    podUID,
    attempt: run.job.attempt,
    heartbeat: 0,
    time: new Date().toISOString(),
    stage: 'Loading',
    step: 0,
    totalSteps: 0,
    stageStep: 0,
    stageTotal: 0,
    epoch: 0,
    percent: 0,
    // Of a sweep each beta tells its own.
    metrics: sweep === undefined ? { beta: run.job.spec.training.beta } : {},
    warnings: [],
  };
  const first = { percent: -1, at: started };
  const grace = new GraceWatch(run.job.spec.checkpoint.gracePeriodSeconds);
  let saveSeconds = 0;
  const warn: Reporter['warn'] = (reason, message) => {
    const others = progress.warnings.filter((warning) => warning.reason !== reason);
    const warnings = [...others, { reason, message: message.slice(0, maxWarningLength) }].slice(-maxWarnings);
    progress = { ...progress, warnings };
    post({ kind: 'warning', reason, message });
  };
  const heed = (): void => {
    if (Atomics.load(flag, 0) !== 0) throw new Stopped('stopped on request');
  };
  return {
    heed,
    beat: (part: ProgressPart = {}) => {
      const metrics = { ...progress.metrics, ...finite(part.metrics ?? {}) };
      const time = new Date().toISOString();
      const memoryBytes = process.resourceUsage().maxRSS * 1024;
      progress = {
        ...progress,
        ...counted(progress, part),
        metrics,
        time,
        memoryBytes,
        heartbeat: progress.heartbeat + 1,
      };
      progress.percent = Math.max(progress.percent, percentOf(progress));
      const eta = etaOf(progress, first);
      if (eta !== undefined) progress.etaSeconds = eta;
      const short = grace.beat(progress.stage, performance.now() / 1000, saveSeconds);
      saveSeconds = 0;
      if (short !== undefined) warn('GracePeriodShort', short);
      post({ kind: 'progress', progress });
      heed();
    },
    observe: (work) => {
      if (work.kind === 'checkpoint') saveSeconds += work.seconds;
      post({ kind: 'work', work });
    },
    info: (message) => post({ kind: 'info', message }),
    warn,
  };
}

/** JSON carries no NaN: a figure that is not finite is left out. */
function finite(metrics: Metrics): Metrics {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
}

/** Share of the run up to the end of each stage, from the runs of the example: an estimate for people. */
const shares: Record<Stage, [number, number]> = {
  Loading: [0, 1],
  Data: [1, 3],
  SFT: [3, 35],
  Reference: [35, 42],
  Training: [42, 93],
  Evaluating: [42, 93],
  Comparing: [93, 97],
  Exporting: [97, 100],
  Done: [100, 100],
};

function percentOf({ stage, stageStep, stageTotal, step, totalSteps }: Progress): number {
  const [from, to] = shares[stage];
  const share = stage === 'Evaluating' ? step / Math.max(1, totalSteps) : stageTotal > 0 ? stageStep / stageTotal : 0;
  return Math.min(100, from + (to - from) * Math.min(1, share));
}

function etaOf(progress: Progress, first: { percent: number; at: number }): number | undefined {
  if (progress.stage === 'Done') return 0;
  if (first.percent < 0) Object.assign(first, { percent: progress.percent, at: performance.now() });
  const done = progress.percent - first.percent;
  if (done < 2) return undefined;
  return Math.round(((performance.now() - first.at) / 1000 / done) * (100 - progress.percent));
}

/** Returns what has been done, and what is to do, in words. */
async function compareBetas(reporter: Reporter, options: SweepOptions): Promise<string> {
  const done = await sweepBetas(run, podUID, reporter, options);
  post({ kind: 'sweep', sweep: done });
  return sweepEnd(run.job.spec.output.source, done, { ...options, before: runBefore(run) });
}

try {
  setEager(eager);
  const reporter = createReporter();
  const message = sweep === undefined ? await train(run, podUID, reporter) : await compareBetas(reporter, sweep);
  post({ kind: 'end', reason: 'Complete', message });
} catch (error) {
  if (error instanceof Stopped) {
    const folders = ['.', ...(sweep === undefined ? [] : sweepFolders(sweep))];
    const saved = folders.some((folder) => holdsCheckpoint(join(run.paths.checkpoints, folder)));
    const message = saved ? 'stopped on request, all saved' : 'stopped on request before there was anything to save';
    post({ kind: 'end', reason: saved ? 'Saved' : 'Terminated', message });
  } else {
    const reason = error instanceof TrainerError ? error.reason : 'InternalError';
    const message = error instanceof TrainerError ? error.message : ((error as Error).stack ?? String(error));
    post({ kind: 'end', reason, message });
  }
}
