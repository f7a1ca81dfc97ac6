type Values = Float64Array | Uint32Array | Uint8Array;

/** Numbers that grow by appending, a few bytes each: what is remembered of millions of rows. */
export class Column<T extends Values> {
  private readonly make: new (length: number) => T;
  private values: T;
  length = 0;

  constructor(make: new (length: number) => T) {
    this.make = make;
    this.values = new make(1024);
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new this.make(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  at(index: number): number {
    return this.values[index] as number;
  }

  /** What was appended so far, without copying. */
  all(): T {
    return this.values.subarray(0, this.length) as T;
  }
}
