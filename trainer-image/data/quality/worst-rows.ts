import type { Flaw } from './row-checks.ts';

/** A row that a check found. */
export interface FoundRow {
  /** Line in the file. */
  row: number;
  why: string;
}

/** Rows that are named in the report, for each check. */
const shown = 20;

/** Counts the rows that a check finds and keeps the worst of them: those of most weight, then the first ones. */
export class WorstRows {
  count = 0;
  private kept: (Flaw & FoundRow)[] = [];

  add(row: number, flaw: Flaw): void {
    this.count += 1;
    const { weight = 0 } = flaw;
    const before = this.kept.findLastIndex((one) => (one.weight ?? 0) >= weight);
    if (before === shown - 1) return;
    this.kept.splice(before + 1, 0, { row, ...flaw });
    this.kept.length = Math.min(shown, this.kept.length);
  }

  rows(): FoundRow[] {
    return this.kept.map(({ row, why }) => ({ row, why }));
  }
}
