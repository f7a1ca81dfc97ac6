import type { Metrics, Progress } from '../../crds/progress.ts';
import type { Fence } from '../checkpoint/fence.ts';
import type { CheckpointStore } from '../checkpoint/store.ts';
import type { Run } from '../config.ts';
import type { ComputePlan } from '../engine/compute-plan.ts';
import type { Work } from '../metrics/names.ts';
import type { Watch } from './watch.ts';
import type { Learner } from '../model/learner.ts';

/** What a stage tells of itself; the worker makes the whole record of it. */
export type ProgressPart = Partial<Omit<Progress, 'podUID' | 'attempt' | 'time' | 'heartbeat' | 'metrics'>> & {
  metrics?: Metrics;
};

/** How the run speaks to its surroundings. */
export interface Reporter {
  /** Notes progress. Throws Stopped when the run shall stop: called after every unit of work in every stage. */
  beat(part?: ProgressPart): void;
  /** Throws Stopped when the run shall stop, and notes nothing: called while nothing moves. */
  heed(): void;
  /** Counts a unit of work that is done, for the metrics. */
  observe(work: Work): void;
  warn(reason: string, message: string): void;
  info(message: string): void;
}

/** Thrown by `beat` when the run was asked to stop: whoever has a state saves it on the way out. */
export class Stopped extends Error {}

/** Notes progress where a stop must not cut in, because all is saved already: the next beat stops the run. */
export function note(report: Reporter, part: ProgressPart): void {
  try {
    report.beat(part);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  }
}

/** What the stages that train work with. */
export interface StageContext {
  run: Run;
  learner: Learner;
  store: CheckpointStore;
  fence: Fence;
  plan: string;
  computePlan: ComputePlan;
  /** sha256 of the model at `spec.model` and its adapter, before any training. */
  modelDigest: string;
  /** sha256 of the model at `spec.reference.source`. */
  referenceDigest: string | undefined;
  /** Positions that the policy and the reference have learned, where either has learned positions. */
  positions: number;
  watch: Watch;
  report: Reporter;
}
