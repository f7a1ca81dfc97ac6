import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commit, writing } from '../checkpoint/durable.ts';
import type { Pair } from '../data/pair.ts';
import { TrainerError } from '../errors.ts';
import type { PairTokens } from '../loss/scores.ts';
import type { Shard } from './shards.ts';

/** What a store tells, and asks before it writes. */
export interface StoreEdge {
  warn: (reason: string, message: string) => void;
  /** Throws when this trainer may not write any more. */
  mayCommit: () => void;
}

const digestBytes = 32;
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

const valuesOf = ({ chosen, rejected }: PairTokens): Float32Array[] => [chosen, rejected];
const lengthOf = (pairs: readonly Pair[]): number =>
  pairs.reduce((sum, { chosen, rejected }) => sum + chosen.length + rejected.length, 0);

/** Values of all answers one after the other -> pair by pair. */
function splitValues(pairs: readonly Pair[], values: Float32Array): PairTokens[] {
  let at = 0;
  const take = (length: number): Float32Array => values.subarray(at, (at += length));
  return pairs.map(({ chosen, rejected }) => ({ chosen: take(chosen.length), rejected: take(rejected.length) }));
}

const [day, hour] = [86_400_000, 3_600_000];
/** Shards that no job has read or written for so long are removed. */
const keptDays = 30;

/**
 * Removes shards below `folder` that nobody has used for long, and what writers that were killed left behind. A job that
 * is about to read one of them computes it again.
 */
export function removeUnused(folder: string, now = Date.now()): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const age = now - (statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? now);
    const limit = name.endsWith('.partial') ? hour : keptDays * day;
    if (/\.(f32|partial)$/.test(name) && age > limit) rmSync(join(folder, name), { force: true });
  }
}

/**
 * The reference's log-probabilities of every answer token, in a folder that several jobs may read and write at once. A shard
 * is a file named by what decides its content, so it is never stale: the reference, how it is computed, and all its token
 * ids. It is renamed into its place when it is whole and on disk: the sha256 of the values, then the values as float32.
 */
export class ReferenceStore {
  private readonly folder: string;
  private readonly edge: StoreEdge;
  private writes = true;

  /** `identity`: the reference and how it is computed. */
  constructor(folder: string, identity: string, edge: StoreEdge) {
    this.folder = join(folder, identity);
    this.edge = edge;
  }

  /** The shard's values, or undefined when it is not there; a damaged one is passed over with a message. */
  read({ pairs, digest }: Shard): PairTokens[] | undefined {
    const file = this.fileOf(digest);
    try {
      const bytes = readFileSync(file);
      const values = bytes.subarray(digestBytes);
      if (values.length !== 4 * lengthOf(pairs) || !sha256(values).equals(bytes.subarray(0, digestBytes)))
        throw new Error('its digest is not the one it was saved with');
      touch(file);
      return splitValues(pairs, new Float32Array(Uint8Array.from(values).buffer));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      this.edge.warn('ReferenceSkipped', `${file} is passed over and computed again: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** Keeps the shard's values. A folder that is full or read-only is told of once: the run goes on without it. */
  write({ digest }: Shard, tokens: readonly PairTokens[]): void {
    if (!this.writes) return;
    const values = Float32Array.from(tokens.flatMap((each) => valuesOf(each).flatMap((part) => [...part])));
    const bytes = new Uint8Array(values.buffer);
    try {
      writing(this.folder, () => this.commit(this.fileOf(digest), [sha256(bytes), bytes]));
    } catch (error) {
      if (!(error instanceof TrainerError) || error.reason !== 'DiskFull') throw error;
      this.writes = false;
      this.edge.warn('ReferenceNotKept', `the reference is not kept for a restart or for other jobs: ${error.message}`);
    }
  }

  /** Another job may write the same file at the same moment: each has a temporary name of its own, and the last one stays. */
  private commit(file: string, parts: readonly Uint8Array[]): void {
    mkdirSync(this.folder, { recursive: true });
    const temporary = `${file}.${randomUUID()}.partial`;
    try {
      writeFileSync(temporary, Buffer.concat(parts));
      commit(temporary, file, this.edge.mayCommit);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  private fileOf(digest: string): string {
    return join(this.folder, `${digest}.f32`);
  }
}

/** Notes that a shard is in use. */
function touch(file: string): void {
  try {
    const now = new Date();
    utimesSync(file, now, now);
  } catch {
    // Read-only for this job: then it is not this job that removes it.
  }
}
