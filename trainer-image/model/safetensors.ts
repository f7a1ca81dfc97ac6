import { closeSync, fstatSync, openSync, readSync, writeSync, fsyncSync } from 'node:fs';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';

const whole = z.int().min(0);
/** A named tensor's place in a file (https://github.com/huggingface/safetensors#format). */
const entrySchema = z.object({ dtype: z.string(), shape: z.array(whole), data_offsets: z.tuple([whole, whole]) });
type Entry = z.infer<typeof entrySchema>;

/** A tensor's values in row-major order, as float32. */
export interface NamedTensor {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}

/** Bytes of one element. */
const widths: Record<string, number> = { F32: 4, F16: 2, BF16: 2 };
const maxHeaderBytes = 100_000_000;

function invalid(file: string, what: string): TrainerError {
  return new TrainerError('InvalidConfiguration', `${file}: ${what}. Is the file complete?`);
}

function parseEntry(file: string, name: string, entry: unknown): Entry {
  const parsed = entrySchema.safeParse(entry);
  if (parsed.success) return parsed.data;
  throw invalid(file, `the header's entry ${name} has no proper dtype, shape and data_offsets`);
}

function openFile(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (error) {
    const message = `${file} cannot be read (${(error as Error).message})`;
    throw new TrainerError('InvalidConfiguration', message, { cause: error });
  }
}

function parseHeader(file: string, text: string, dataBytes: number): Map<string, Entry> {
  let header: Record<string, unknown>;
  try {
    header = z.looseObject({}).parse(JSON.parse(text));
  } catch (error) {
    throw new TrainerError('InvalidConfiguration', `${file}: its header is not a JSON object`, { cause: error });
  }
  delete header['__metadata__'];
  const entries = new Map(Object.entries(header).map(([name, entry]) => [name, parseEntry(file, name, entry)]));
  for (const [name, { dtype, shape, data_offsets: offsets }] of entries) {
    const [start, end] = offsets;
    if (!(end >= start && end <= dataBytes)) throw invalid(file, `${name} lies outside the file`);
    const width = widths[dtype];
    const elements = shape.reduce((product, size) => product * size, 1);
    if (width !== undefined && elements * width !== end - start) throw invalid(file, `${name} does not fill its shape`);
  }
  refuseOverlap(file, [...entries]);
  return entries;
}

/** The format has each byte in one tensor; a small file could else give any number of large ones. */
function refuseOverlap(file: string, entries: readonly [string, Entry][]): void {
  const placed = entries
    .filter(
      ([
        ,
        {
          data_offsets: [start, end],
        },
      ]) => end > start,
    )
    .toSorted(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  placed.forEach(
    (
      [
        name,
        {
          data_offsets: [start],
        },
      ],
      i,
    ) => {
      const [before, entry] = placed[i - 1] ?? [];
      if (entry !== undefined && start < entry.data_offsets[1]) throw invalid(file, `${name} and ${before} overlap`);
    },
  );
}

/** A safetensors file opened for reading; a tensor is read when it is asked for. */
export class SafetensorsFile {
  readonly file: string;
  private readonly descriptor: number;
  private readonly start: number;
  private readonly entries: Map<string, Entry>;

  /** Throws InvalidConfiguration when the file is cut short or its header is broken. */
  constructor(file: string) {
    this.file = file;
    this.descriptor = openFile(file);
    const size = fstatSync(this.descriptor).size;
    const length = size >= 8 ? Number(this.bytes(0, 8).readBigUInt64LE()) : -1;
    if (length < 2 || length > maxHeaderBytes || 8 + length > size) throw invalid(file, 'it is no safetensors file');
    this.start = 8 + length;
    this.entries = parseHeader(file, this.bytes(8, length).toString('utf8'), size - this.start);
  }

  get names(): string[] {
    return [...this.entries.keys()];
  }

  /** Reads one tensor; F16 and BF16 become float32 without loss. */
  read(name: string): NamedTensor {
    const entry = this.entries.get(name);
    if (entry === undefined) throw invalid(this.file, `it has no tensor ${name}`);
    const [from, to] = entry.data_offsets;
    const bytes = this.bytes(this.start + from, to - from);
    return { name, shape: entry.shape, data: toFloat32(this.file, name, entry.dtype, bytes) };
  }

  close(): void {
    closeSync(this.descriptor);
  }

  private bytes(position: number, length: number): Buffer {
    const buffer = Buffer.from(new ArrayBuffer(length));
    for (let done = 0; done < length;) {
      const count = readSync(this.descriptor, buffer, done, Math.min(length - done, 1 << 30), position + done);
      if (count === 0) throw invalid(this.file, 'it ends too early');
      done += count;
    }
    return buffer;
  }
}

function toFloat32(file: string, name: string, dtype: string, bytes: Buffer): Float32Array {
  if (dtype === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  if (dtype === 'BF16') {
    // A bfloat16 is the upper half of a float32.
    const wide = new Uint32Array(words.length);
    for (let i = 0; i < words.length; i++) wide[i] = (words[i] as number) << 16;
    return new Float32Array(wide.buffer);
  }
  if (dtype === 'F16') return Float32Array.from(words, halfToNumber);
  const known = Object.keys(widths).join(', ');
  throw new TrainerError('InvalidConfiguration', `${file}: ${name} has the data type ${dtype}; known are ${known}`);
}

/** IEEE 754 binary16 -> number. */
function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The tensors; of each `onRead` hears before it is read. */
export const whenRead = <T extends { read: () => Float32Array }>(tensors: readonly T[], onRead: () => void): T[] =>
  tensors.map((tensor) => ({
    ...tensor,
    read: () => {
      onRead();
      return tensor.read();
    },
  }));

/** Writes tensors as F32, in their order, and waits until the disk has them. `metadata` as transformers writes it. */
export function writeSafetensors(
  file: string,
  tensors: readonly { name: string; shape: readonly number[]; read: () => Float32Array }[],
): void {
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const { name, shape } of tensors) {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = JSON.stringify(header);
  // The data starts at a multiple of 8 bytes.
  const text = Buffer.from(json.padEnd(Math.ceil(Buffer.byteLength(json) / 8) * 8, ' '));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const descriptor = openSync(file, 'w');
  try {
    writeAll(descriptor, Buffer.concat([length, text]));
    for (const { read } of tensors) {
      const data = read();
      writeAll(descriptor, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function writeAll(descriptor: number, buffer: Buffer): void {
  for (let done = 0; done < buffer.length;)
    done += writeSync(descriptor, buffer, done, Math.min(buffer.length - done, 1 << 30));
}
