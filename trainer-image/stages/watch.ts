import { join } from 'node:path';
import { betaHolds } from '../../crds/losses.ts';
import type { Metrics } from '../../crds/progress.ts';
import type { Pair } from '../data/pair.ts';
import type { Rows } from '../data/token-rows.ts';
import { batchTotals } from '../loss/objective.ts';
import { History, type Entry } from '../metrics/history.ts';
import { Signals, type Signal } from '../metrics/signals.ts';
import type { ProgressPart, StageContext } from './context.ts';

/** Keeps the curves of both stages, and warns once of each trouble that shows in those of the preference stage. */
export class Watch {
  readonly history: History;
  /** Of the SFT stage. */
  readonly tuning: History;
  /** The best held-out evaluation so far, and why the stage ended early when it did. */
  readonly verdict: Pick<ProgressPart, 'best' | 'stoppedEarly'> = {};
  private readonly report: StageContext['report'];
  /** Mean length of the held-out chosen answers. */
  private readonly chosenTokens: number;
  private readonly holds: boolean;
  private signals: Signals;
  private readonly told = new Set<string>();

  constructor({ run, report }: Pick<StageContext, 'run' | 'report'>, heldOut: Rows<Pair>) {
    this.history = new History(join(run.paths.checkpoints, 'history.jsonl'));
    this.tuning = new History(join(run.paths.checkpoints, 'history-sft.jsonl'));
    this.report = report;
    const { chosenTokens, pairs } = batchTotals(heldOut);
    this.chosenTokens = chosenTokens / pairs;
    this.holds = betaHolds(run.job.spec.training.loss);
    this.signals = new Signals(this.chosenTokens, this.holds);
  }

  /** Every warning that the curves gave, also those of an earlier run. */
  get found(): Signal[] {
    return [...this.signals.found.values()];
  }

  /** Takes up the curves where an earlier run left them, up to `step`; `mayCommit` as in writeDurably. */
  resumeAt(step: number, mayCommit: () => void): void {
    this.history.resumeAt(step, mayCommit);
    this.signals = new Signals(this.chosenTokens, this.holds);
    for (const entry of this.history.entries) this.signals.see(entry);
  }

  /** Notes the figures after `step` steps. */
  see(kind: Entry['kind'], step: number, metrics: Metrics): void {
    for (const { reason, message } of this.signals.see(this.history.add(kind, step, metrics))) {
      if (!this.told.has(reason)) this.report.warn(reason, message);
      this.told.add(reason);
    }
  }
}
