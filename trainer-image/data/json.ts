import type { FileRow } from './row.ts';
import { readText } from './text.ts';

type Pieces = AsyncIterable<string>;

/** Longest row, in characters: more is no row of texts, and a compressed file may hold any number of them in a few bytes. */
const longestRow = 1 << 26;

function checkLength(length: number): void {
  if (length > longestRow) throw new SyntaxError(`a row of over ${longestRow} characters`);
}

async function* linesOf(pieces: Pieces): AsyncGenerator<string> {
  let rest: string[] = [];
  let length = 0;
  for await (const piece of pieces) {
    const [first = '', ...more] = piece.split('\n');
    rest.push(first);
    checkLength((length += first.length));
    const last = more.pop();
    if (last === undefined) continue;
    yield rest.join('');
    yield* more;
    rest = [last];
    length = last.length;
  }
  yield rest.join('');
}

async function* rowsOfLines(pieces: Pieces): AsyncGenerator<FileRow> {
  let number = 0;
  for await (const content of linesOf(pieces)) {
    number += 1;
    if (content.trim() !== '') yield { unit: 'line', number, content };
  }
}

/** JSONL: a JSON object on each line; empty lines are passed over. */
export const readJsonLines = (file: string): AsyncIterable<FileRow> => rowsOfLines(readText(file));

/** Finds the elements of a JSON array in a text that comes in pieces, without parsing them. */
class ArraySplitter {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #element = '';
  closed = false;

  /** Elements that end in this piece. Throws SyntaxError when something follows the array. */
  *split(piece: string): Generator<string> {
    let from = 0;
    for (let i = 0; i < piece.length; i++) {
      const ends = this.#step(piece[i] as string);
      if (ends === undefined) continue;
      const element = this.#element + piece.slice(from, i);
      this.#element = '';
      from = i + 1;
      if (ends === 'element' && element.trim() !== '') yield element;
    }
    if (!this.closed) checkLength((this.#element += piece.slice(from)).length);
    else if (piece.slice(from).trim() !== '') throw new SyntaxError('something follows the end of the array');
  }

  /** Takes one character; tells whether the array begins, or an element ends, before it. */
  #step(character: string): 'begin' | 'element' | undefined {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (character === '\\') this.#escaped = true;
      else this.#inString = character !== '"';
      return undefined;
    }
    if (character === '"') this.#inString = true;
    else if (character === ',') return this.#depth === 1 ? 'element' : undefined;
    else if (character === '[' || character === '{') return this.#depth++ === 0 ? 'begin' : undefined;
    else if (character === ']' || character === '}') return this.#close();
    return undefined;
  }

  #close(): 'element' | undefined {
    this.#depth -= 1;
    if (this.#depth > 0 || this.closed) return undefined;
    this.closed = true;
    return 'element';
  }
}

async function* rowsOfArray(pieces: Pieces): AsyncGenerator<FileRow> {
  const splitter = new ArraySplitter();
  let number = 0;
  for await (const piece of pieces) {
    for (const content of splitter.split(piece)) yield { unit: 'row', number: (number += 1), content };
  }
  if (!splitter.closed) throw new SyntaxError('the array is not closed: is the file whole?');
}

/** JSON: an array of objects. A file that does not begin with '[' is read as JSONL, as many are named .json. */
export async function* readJson(file: string): AsyncGenerator<FileRow> {
  const pieces = readText(file);
  let start = '';
  while (start.trim() === '') {
    const next = await pieces.next();
    if (next.done === true) return;
    checkLength((start += next.value).length);
  }
  const whole = (async function* () {
    yield start;
    yield* pieces;
  })();
  yield* start.trimStart().startsWith('[') ? rowsOfArray(whole) : rowsOfLines(whole);
}
