import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writing } from '../checkpoint/durable.ts';
import { Column } from './column.ts';
import type { Example, Pair } from './pair.ts';

/** Rows in their order; an array is one, and so are rows in a file. */
export interface Rows<T> extends Iterable<T> {
  readonly length: number;
  at: (index: number) => T | undefined;
  map: <U>(f: (row: T, index: number) => U) => U[];
  filter: (keep: (row: T) => boolean) => Rows<T>;
}

/** How a row is taken apart into lists of token ids and made of them again. */
interface Form<T> {
  parts: (row: T) => readonly Int32Array[];
  of: (row: number, parts: readonly Int32Array[]) => T;
}
const none = new Int32Array();

export const pairForm: Form<Pair> = {
  parts: ({ prompt, chosen, rejected }) => [prompt, chosen, rejected],
  of: (row, [prompt = none, chosen = none, rejected = none]) => ({ row, prompt, chosen, rejected }),
};
export const exampleForm: Form<Example> = {
  parts: ({ prompt, completion }) => [prompt, completion],
  of: (row, [prompt = none, completion = none]) => ({ row, prompt, completion }),
};

/** 32-bit words that are kept back before they are written, and read ahead when rows are gone through in order. */
const windowWords = 1 << 18;

/**
 * A file of 32-bit words that only grows. It has no name: it is gone with the process, however that ends.
 * Throws DiskFull when its volume is.
 */
class WordFile {
  readonly #descriptor: number;
  readonly #pending = new Int32Array(windowWords);
  #pendingWords = 0;
  #written = 0;

  constructor(folder: string) {
    this.#descriptor = writing('the tokens of the data', () => {
      mkdirSync(folder, { recursive: true });
      const path = join(folder, `tokens-${randomUUID()}.partial`);
      const descriptor = openSync(path, 'wx+');
      rmSync(path);
      return descriptor;
    });
  }

  /** Position of the next word. */
  get end(): number {
    return this.#written + this.#pendingWords;
  }

  append(words: Int32Array): void {
    for (let at = 0; at < words.length;) {
      if (this.#pendingWords === windowWords) this.#flush();
      const part = words.subarray(at, at + windowWords - this.#pendingWords);
      this.#pending.set(part, this.#pendingWords);
      this.#pendingWords += part.length;
      at += part.length;
    }
  }

  /** A copy of the words from `start` on. */
  read(start: number, count: number): Int32Array {
    if (start + count > this.#written) this.#flush();
    const words = new Int32Array(count);
    const bytes = new Uint8Array(words.buffer);
    for (let at = 0; at < bytes.length;) {
      const read = readSync(this.#descriptor, bytes, at, bytes.length - at, start * 4 + at);
      if (read === 0) throw new RangeError(`the file of tokens ends before word ${start + count}`);
      at += read;
    }
    return words;
  }

  #flush(): void {
    const bytes = new Uint8Array(this.#pending.buffer, 0, this.#pendingWords * 4);
    writing('the tokens of the data', () => {
      for (let at = 0; at < bytes.length;) {
        at += writeSync(this.#descriptor, bytes, at, bytes.length - at, this.#written * 4 + at);
      }
    });
    this.#written += this.#pendingWords;
    this.#pendingWords = 0;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * Tokenised rows in a file: memory holds 12 bytes of each, so that a data set may be larger than memory. A record is the
 * row's number, the lengths of its parts, and their token ids.
 */
export class TokenRows<T extends { row: number }> implements Rows<T> {
  readonly #form: Form<T>;
  readonly #file: WordFile;
  /** Words before each record, and in it. */
  readonly #starts = new Column(Float64Array);
  readonly #sizes = new Column(Uint32Array);

  /** `file` is for `filter`, whose result shares it. */
  constructor(form: Form<T>, folder: string = tmpdir(), file: WordFile = new WordFile(folder)) {
    this.#form = form;
    this.#file = file;
  }

  get length(): number {
    return this.#starts.length;
  }

  push(row: T): void {
    const parts = this.#form.parts(row);
    this.#index(this.#file.end, 2 + parts.length + parts.reduce((sum, { length }) => sum + length, 0));
    this.#file.append(Int32Array.from([row.row, parts.length, ...parts.map(({ length }) => length)]));
    for (const part of parts) this.#file.append(part);
  }

  at(index: number): T | undefined {
    const i = index < 0 ? index + this.length : index;
    if (i < 0 || i >= this.length) return undefined;
    return this.#decode(this.#file.read(this.#starts.at(i), this.#sizes.at(i)));
  }

  *[Symbol.iterator](): Generator<T> {
    let [window, from]: [Int32Array, number] = [none, 0];
    for (let i = 0; i < this.length; i++) {
      const [start, size] = [this.#starts.at(i), this.#sizes.at(i)];
      if (start + size > from + window.length) {
        const ahead = Math.min(windowWords, this.#file.end - start);
        [window, from] = [this.#file.read(start, Math.max(size, ahead)), start];
      }
      yield this.#decode(window.slice(start - from, start - from + size));
    }
  }

  map<U>(f: (row: T, index: number) => U): U[] {
    const result: U[] = [];
    for (const row of this) result.push(f(row, result.length));
    return result;
  }

  filter(keep: (row: T) => boolean): TokenRows<T> {
    const kept = new TokenRows<T>(this.#form, '', this.#file);
    let i = 0;
    for (const row of this) {
      if (keep(row)) kept.#index(this.#starts.at(i), this.#sizes.at(i));
      i += 1;
    }
    return kept;
  }

  /** Ends the use of the file, also by what `filter` made. */
  close(): void {
    this.#file.close();
  }

  #index(start: number, size: number): void {
    this.#starts.push(start);
    this.#sizes.push(size);
  }

  #decode(words: Int32Array): T {
    const [row = 0, count = 0] = words;
    let at = 2 + count;
    // Buffers of their own, as those of an array's rows: whoever keeps one part does not keep the record.
    const parts = Array.from(words.subarray(2, at), (length) => words.slice(at, (at += length)));
    return this.#form.of(row, parts);
  }
}

/** Rows of one after those of the other, to be gone through once. */
export function joined<T>(first: Rows<T>, second: Rows<T>): Iterable<T> & { readonly length: number } {
  return {
    length: first.length + second.length,
    *[Symbol.iterator]() {
      yield* first;
      yield* second;
    },
  };
}

/** The first of them, at most so many. */
export function first<T>(rows: Rows<T>, most: number): T[] {
  return Array.from({ length: Math.min(most, rows.length) }, (_, i) => rows.at(i) as T);
}
