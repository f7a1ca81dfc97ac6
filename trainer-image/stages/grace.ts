import type { Stage } from '../../crds/progress.ts';

/** Stages that save when they are stopped. */
const saving: readonly Stage[] = ['SFT', 'Training', 'Evaluating'];

/**
 * Watches whether the pod's grace period is long enough. A stop is noticed between two beats, and then a checkpoint is
 * saved: when the longest time between beats and the longest save together take over half of it, that is worth a warning.
 */
export class GraceWatch {
  private readonly graceSeconds: number;
  private lastBeat: number | undefined;
  private longestWork = 0;
  private longestSave = 0;
  private told = false;

  constructor(graceSeconds: number) {
    this.graceSeconds = graceSeconds;
  }

  /** Notes a beat at `now`, in seconds. A save lies between two beats and is not counted twice. */
  beat(stage: Stage, now: number, saveSeconds = 0): string | undefined {
    if (this.lastBeat !== undefined && saving.includes(stage)) {
      this.longestWork = Math.max(this.longestWork, now - this.lastBeat - saveSeconds);
    }
    this.longestSave = Math.max(this.longestSave, saveSeconds);
    this.lastBeat = now;
    return this.verdict();
  }

  private verdict(): string | undefined {
    const needed = this.longestWork + this.longestSave;
    if (this.told || this.longestSave === 0 || needed <= this.graceSeconds / 2) return undefined;
    this.told = true;
    const [work, save] = [this.longestWork, this.longestSave].map((seconds) => seconds.toFixed(0));
    return `a stop may wait ${work} s for the work under way and ${save} s for the checkpoint: over half of checkpoint.gracePeriodSeconds (${this.graceSeconds}); raise it, or lower training.microBatchTokens`;
  }
}
