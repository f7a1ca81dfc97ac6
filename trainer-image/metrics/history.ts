import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { metricsSchema, type Metrics } from '../../crds/progress.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';

const entrySchema = z.object({
  kind: z.enum(['train', 'heldOut']),
  step: z.int().min(0),
  metrics: metricsSchema,
});

/** Figures of one optimizer step, or of the held-out evaluation after so many steps. */
export type Entry = z.infer<typeof entrySchema>;

function parsed(line: string): Entry | undefined {
  try {
    return entrySchema.safeParse(JSON.parse(line)).data;
  } catch {
    // A line that was cut short by a kill.
    return undefined;
  }
}

/**
 * The figures of a stage from its first step on, in a file beside the checkpoints: a restarted run's curves have no gap. Nothing of it changes what is trained.
 */
export class History {
  private readonly file: string;
  private readonly known: Entry[] = [];

  constructor(file: string) {
    this.file = file;
  }

  get entries(): readonly Entry[] {
    return this.known;
  }

  /** The figures of one kind after `step` steps; undefined where there are none. */
  at(kind: Entry['kind'], step: number): Metrics | undefined {
    return this.known.findLast((entry) => entry.kind === kind && entry.step === step)?.metrics;
  }

  /** Reads what an earlier run wrote, up to `step`: later steps are taken again. `mayCommit` as in writeDurably. */
  resumeAt(step: number, mayCommit: () => void): void {
    const lines = existsSync(this.file) ? readFileSync(this.file, 'utf8').split('\n') : [];
    const entries = lines.map(parsed).filter((entry) => entry !== undefined && entry.step <= step) as Entry[];
    this.known.length = 0;
    // One by one: a long run has more entries than a call takes arguments.
    for (const entry of new Map(entries.map((one) => [`${one.kind} ${one.step}`, one])).values())
      this.known.push(entry);
    writing(this.file, () =>
      writeDurably(this.file, this.known.map((entry) => `${JSON.stringify(entry)}\n`).join(''), mayCommit),
    );
  }

  /** Keeps the figures that are finite, and returns what is kept. */
  add(kind: Entry['kind'], step: number, metrics: Metrics): Entry {
    const finite = Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
    const entry: Entry = { kind, step, metrics: finite };
    this.known.push(entry);
    writing(this.file, () => appendFileSync(this.file, `${JSON.stringify(entry)}\n`));
    return entry;
  }
}
