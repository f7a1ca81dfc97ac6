import { join } from 'node:path';
import type { Metrics } from '../../crds/progress.ts';
import type { Pair } from '../data/pair.ts';
import { History, type Entry } from '../metrics/history.ts';
import { signalsOf } from '../metrics/signals.ts';
import type { ProgressPart, StageContext } from './context.ts';

/** Keeps the curves of the preference stage, and warns once of each trouble that shows in them. */
export class Watch {
  readonly history: History;
  /** The best held-out evaluation so far, and why the stage ended early when it did. */
  readonly verdict: Pick<ProgressPart, 'best' | 'stoppedEarly'> = {};
  private readonly report: StageContext['report'];
  /** Mean length of the held-out chosen answers. */
  readonly chosenTokens: number;
  private readonly told = new Set<string>();

  constructor({ run, report }: Pick<StageContext, 'run' | 'report'>, heldOut: readonly Pair[]) {
    this.history = new History(join(run.paths.checkpoints, 'history.jsonl'));
    this.report = report;
    this.chosenTokens = heldOut.reduce((sum, { chosen }) => sum + chosen.length, 0) / heldOut.length;
  }

  /** Notes the figures after `step` steps. */
  see(kind: Entry['kind'], step: number, metrics: Metrics): void {
    this.history.add(kind, step, metrics);
    for (const { reason, message } of signalsOf(this.history.entries, this.chosenTokens)) {
      if (!this.told.has(reason)) this.report.warn(reason, message);
      this.told.add(reason);
    }
  }
}
