import type { Text } from '../messages.ts';
import { Column } from '../column.ts';
import { promptKey, rowKey } from './fingerprint.ts';
import { FirstPlaces, indexOf } from './first-places.ts';
import { LengthCounter, type LengthBias } from './length-bias.ts';
import { distinctShare, PromptSample } from './prompt-diversity.ts';
import { visitRepeats } from './repeats.ts';
import { rowCheckNames, rowChecks, type CheckedRow, type Flaw, type RowCheckName } from './row-checks.ts';
import { WorstRows, type FoundRow } from './worst-rows.ts';

/** What the checks found in one data set. */
export interface Verdict {
  rows: number;
  found: Record<RowCheckName, { count: number; worst: FoundRow[] }>;
  promptDiversity: number;
  ngramDiversity: number;
  /** Of preference pairs only. */
  lengthBias?: LengthBias;
  /** The first check, in the order of the table, of those asked about that found this line. */
  flawOf: (row: number, checks: readonly RowCheckName[]) => RowCheckName | undefined;
}

/** Prompts of the held-out file, with their first line: training rows are compared with them. */
export class HeldOutPrompts {
  private readonly keys = new Column(Float64Array);
  private readonly rows = new Column(Uint32Array);

  readonly see = ({ row, prompt }: { row: number; prompt: Text }): void => {
    this.keys.push(promptKey(prompt));
    this.rows.push(row);
  };

  /** A function that tells the first line of a prompt's key; to be asked for when all have been seen. */
  lines(): (key: number) => number | undefined {
    const first = new FirstPlaces(this.keys.all());
    return (key) => {
      const place = first.of(key);
      return place === undefined ? undefined : this.rows.at(place);
    };
  }
}

/**
 * Sees every row of a data set once, in its order, and then says what is wrong with it. It remembers 21 bytes of a row and
 * a bounded number of whole findings, so that millions of rows fit; the same rows always give the same verdict.
 */
export class QualityGate {
  private readonly maxLength: number;
  private readonly lines = new Column(Uint32Array);
  private readonly prompts = new Column(Float64Array);
  private readonly keys = new Column(Float64Array);
  /** A bit per check, by its place in the table. */
  private readonly flags = new Column(Uint8Array);
  private readonly found: Record<RowCheckName, WorstRows>;
  private readonly sample = new PromptSample();
  private readonly lengths = new LengthCounter();

  constructor(maxLength: number) {
    this.maxLength = maxLength;
    this.found = Object.fromEntries(rowCheckNames.map((name) => [name, new WorstRows()])) as typeof this.found;
  }

  readonly see = (row: CheckedRow): void => {
    const prompt = promptKey(row.prompt);
    this.lines.push(row.row);
    this.prompts.push(prompt);
    this.keys.push(rowKey(row.prompt, row.answers));
    this.flags.push(0);
    this.sample.add(prompt, row.prompt);
    const [chosen, rejected] = row.tokens.completions;
    if (chosen !== undefined && rejected !== undefined) this.lengths.add(chosen.length, rejected.length);
    for (const name of rowCheckNames) {
      const flaw = rowChecks[name].flaw?.(row, this.maxLength);
      if (flaw !== undefined) this.note(name, this.lines.all().length - 1, flaw);
    }
  };

  /** What is wrong, when every row has been seen. Throws RangeError when there was none. */
  conclude(heldOut = new HeldOutPrompts()): Verdict {
    const [lines, prompts] = [this.lines.all(), this.prompts.all()];
    if (lines.length === 0) throw new RangeError('no row was seen');
    visitRepeats(this.keys.all(), (name, index, other) => {
      const how = name === 'duplicate' ? 'the same as' : 'answers swapped against';
      this.note(name, index, { why: `${how} line ${lines[other]}` });
    });
    const lineOf = heldOut.lines();
    prompts.forEach((key, index) => {
      const line = lineOf(key);
      if (line !== undefined) this.note('leaking', index, { why: `its prompt is line ${line} of dataset.evalSource` });
    });
    const lengthBias = this.lengths.bias();
    return {
      rows: lines.length,
      found: this.counted(),
      promptDiversity: distinctShare(prompts),
      ngramDiversity: this.sample.distinctTriples(),
      ...(lengthBias.pairs === 0 ? {} : { lengthBias }),
      flawOf: (row, checks) => this.flawOf(row, checks),
    };
  }

  private note(name: RowCheckName, index: number, flaw: Flaw): void {
    const flags = this.flags.all();
    flags[index] = (flags[index] as number) | (1 << rowCheckNames.indexOf(name));
    this.found[name].add(this.lines.all()[index] as number, flaw);
  }

  private counted(): Verdict['found'] {
    const entries = Object.entries(this.found).map(([name, worst]) => [
      name,
      { count: worst.count, worst: worst.rows() },
    ]);
    return Object.fromEntries(entries) as Verdict['found'];
  }

  private flawOf(row: number, checks: readonly RowCheckName[]): RowCheckName | undefined {
    const flags = this.flags.all()[indexOf(this.lines.all(), row)] ?? 0;
    return checks.find((name) => (flags & (1 << rowCheckNames.indexOf(name))) !== 0);
  }
}
