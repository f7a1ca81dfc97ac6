/** A call into TensorFlow. */
export interface Call {
  name: string;
  /** The same with shapes. */
  detail: string;
  /** Floating point operations of a matrix product, else 0. */
  work: number;
}

export interface Time {
  milliseconds: number;
  /** Of all threads: what to compare where others use the machine too. */
  cpuMilliseconds: number;
}

export interface Line extends Time {
  name: string;
  calls: number;
  work: number;
}

/** What a step spent its time on. */
export interface Profile {
  mode: 'recorded' | 'one by one';
  byName: Line[];
  byDetail: Line[];
}

/** A product of [m, k] (or its transpose [k, m]) -> [..., m, n]: 2 m k n for each of them. */
export function matmulWork(left: readonly number[], transposed: boolean, product: readonly number[]): number {
  const inner = left.at(transposed ? -2 : -1) ?? 0;
  return 2 * inner * product.reduce((count, size) => count * size, 1);
}

/** Adds up calls by name, with and without their shapes. */
export class Calls {
  private readonly mode: Profile['mode'];
  private readonly byName = new Map<string, Line>();
  private readonly byDetail = new Map<string, Line>();

  constructor(mode: Profile['mode']) {
    this.mode = mode;
  }

  add({ name, detail, work }: Call, time: Time): void {
    const count = (lines: Map<string, Line>, key: string): void => {
      const line = lines.get(key) ?? { name: key, calls: 0, milliseconds: 0, cpuMilliseconds: 0, work: 0 };
      lines.set(key, line);
      line.calls += 1;
      line.milliseconds += time.milliseconds;
      line.cpuMilliseconds += time.cpuMilliseconds;
      line.work += work;
    };
    count(this.byName, name);
    count(this.byDetail, detail);
  }

  profile(): Profile {
    const sorted = (lines: Map<string, Line>): Line[] =>
      [...lines.values()].toSorted((a, b) => b.milliseconds - a.milliseconds);
    return { mode: this.mode, byName: sorted(this.byName), byDetail: sorted(this.byDetail) };
  }
}
