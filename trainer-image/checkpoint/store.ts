import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import type { StateTensor } from '../model/learner.ts';
import { SafetensorsFile, whenRead, writeSafetensors } from '../model/safetensors.ts';
import { commit, writeDurably, writing } from './durable.ts';
import type { Fence } from './fence.ts';

/** Stages that have a state to save, in their order. */
const savedStages = ['SFT', 'Training'] as const;
export type SavedStage = (typeof savedStages)[number];

const stateSchema = z.object({
  stage: z.enum(savedStages),
  step: z.int().min(0),
  plan: z.string(),
  time: z.string(),
  sha256: z.string(),
  /** Figures that a resumed run goes on with. */
  figures: z.record(z.string(), z.number()),
});
export type CheckpointState = z.infer<typeof stateSchema>;

/** A checkpoint whose digest has been checked. */
export interface Checkpoint extends CheckpointState {
  folder: string;
  read: (name: string, shape: readonly number[]) => Float32Array;
  close: () => void;
}

const tensorsFile = 'tensors.safetensors';
const stateFile = 'state.json';
const nameOf = (stage: SavedStage, step: number): string =>
  `checkpoint-${savedStages.indexOf(stage)}-${String(step).padStart(10, '0')}`;

const stageOf = (name: string): string => name.slice(0, 'checkpoint-0'.length);

/**
 * Checkpoints that go when `saved` has been saved, of `names` in their order: all but the newest `keep` up to it, and those
 * of its stage after it, which a run that was given up has left. Those of a later stage stay when an earlier one is redone.
 */
function supersededBy(saved: string, names: readonly string[], keep: number): string[] {
  const abandoned = names.filter((name) => name > saved && stageOf(name) === stageOf(saved));
  return [...names.filter((name) => name <= saved).slice(0, -keep), ...abandoned];
}

const namePattern = /^checkpoint-\d-\d{10}$/;

/** Whether a job's folder holds a finished checkpoint that its next run can go on from. */
export function holdsCheckpoint(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => namePattern.test(name));
}

/** sha256 of a file, read in pieces; `onPiece` after each, it may throw to stop. */
export function fileDigest(file: string, onPiece: () => void = () => {}): string {
  const hash = createHash('sha256');
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(8 << 20);
    for (let count = readSync(descriptor, buffer); count > 0; count = readSync(descriptor, buffer)) {
      hash.update(buffer.subarray(0, count));
      onPiece();
    }
  } finally {
    closeSync(descriptor);
  }
  return hash.digest('hex');
}

/** What a store has to say. */
export interface StoreWords {
  /** Hears of a damaged checkpoint that is passed over. */
  skipped(message: string): void;
  /** That the checkpoints belong to another plan: to which, and what to do. */
  mismatch(): string;
  /** Hears of every piece of a checkpoint that is written or read: a large one takes minutes. It must not throw. */
  beat(): void;
}

/**
 * The checkpoints of one job. Each is a folder that is renamed into its place when it is whole and on disk; a state.json
 * with the tensors' digest tells a good one from one that was damaged later.
 */
export class CheckpointStore {
  private readonly folder: string;
  private readonly fence: Fence;
  private readonly words: StoreWords;

  constructor(folder: string, fence: Fence, words: StoreWords) {
    this.folder = folder;
    this.fence = fence;
    this.words = words;
    writing('the checkpoint folder', () => mkdirSync(folder, { recursive: true }));
    this.dropUnfinished();
  }

  /** Another set of checkpoints in a folder of this one's, under the same fence. */
  within(name: string): CheckpointStore {
    const folder = join(this.folder, name);
    writing('the checkpoint folder', () => mkdirSync(folder, { recursive: true }));
    return new CheckpointStore(folder, this.fence, this.words);
  }

  /** Saves a checkpoint and drops those that it supersedes, and what was never finished. Throws DiskFull or Fenced. */
  save(state: Omit<CheckpointState, 'sha256' | 'time'>, tensors: readonly StateTensor[], keep: number): string {
    this.fence.check();
    const time = new Date().toISOString();
    const name = nameOf(state.stage, state.step);
    // An older trainer that does not know yet that it lost the folder must not write into the same files.
    const temporary = join(this.folder, `${name}.${this.fence.generation}.partial`);
    const mayCommit = (): void => this.fence.check();
    try {
      writing('the checkpoint', () => {
        mkdirSync(temporary, { recursive: true });
        writeSafetensors(
          join(temporary, tensorsFile),
          whenRead(tensors, () => this.words.beat()),
        );
        const sha256 = fileDigest(join(temporary, tensorsFile), () => this.words.beat());
        writeDurably(join(temporary, stateFile), JSON.stringify({ ...state, time, sha256 }), mayCommit);
        mayCommit();
        rmSync(join(this.folder, name), { recursive: true, force: true });
        commit(temporary, join(this.folder, name), mayCommit);
      });
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      // The new holder removes what is unfinished: then the error is of its doing.
      this.fence.check();
      throw error;
    }
    this.dropUnfinished();
    const dropped = supersededBy(name, this.names(), keep);
    dropped.forEach((old) => rmSync(join(this.folder, old), { recursive: true, force: true }));
    return time;
  }

  /** Removes every checkpoint: what they were for is done. */
  clear(): void {
    this.fence.check();
    this.names().forEach((name) => rmSync(join(this.folder, name), { recursive: true, force: true }));
  }

  /**
   * The newest checkpoint that is whole, or undefined; damaged ones are passed over with a message. Throws
   * CheckpointMismatch when it belongs to another model, data set or plan.
   */
  newest(plan: string): Checkpoint | undefined {
    for (const name of this.names().toReversed()) {
      const found = this.open(name);
      if (found === undefined) continue;
      if (found.plan === plan) return found;
      found.close();
      throw new TrainerError('CheckpointMismatch', this.words.mismatch());
    }
    return undefined;
  }

  /** Removes what a trainer that was killed, or has lost the folder, left half written; a newer one's is not touched. */
  private dropUnfinished(): void {
    const generationOf = (name: string): number => Number(/\.(\d+)\.partial$/.exec(name)?.[1] ?? 0);
    const unfinished = readdirSync(this.folder).filter((name) => name.endsWith('.partial'));
    unfinished
      .filter((name) => generationOf(name) <= this.fence.generation)
      .forEach((name) => rmSync(join(this.folder, name), { recursive: true, force: true }));
  }

  private names(): string[] {
    return readdirSync(this.folder)
      .filter((name) => namePattern.test(name))
      .toSorted();
  }

  private open(name: string): Checkpoint | undefined {
    const folder = join(this.folder, name);
    try {
      const state = stateSchema.parse(JSON.parse(readFileSync(join(folder, stateFile), 'utf8')));
      if (fileDigest(join(folder, tensorsFile), () => this.words.beat()) !== state.sha256)
        throw new Error('its digest is not the one it was saved with');
      const file = new SafetensorsFile(join(folder, tensorsFile));
      const read = (tensor: string): Float32Array => file.read(tensor).data;
      return { ...state, folder, read, close: () => file.close() };
    } catch (error) {
      this.words.skipped(`checkpoint ${folder} is passed over: ${(error as Error).message}`);
      return undefined;
    }
  }
}

/** A JSON file that is kept beside the checkpoints with a digest of its own; undefined when missing or damaged. */
export function readSealed(file: string): unknown {
  if (!existsSync(file)) return undefined;
  try {
    const { sha256, body } = JSON.parse(readFileSync(file, 'utf8')) as { sha256: string; body: string };
    return createHash('sha256').update(body).digest('hex') === sha256 ? JSON.parse(body) : undefined;
  } catch {
    return undefined;
  }
}

export function writeSealed(file: string, value: unknown, fence: Fence): void {
  const body = JSON.stringify(value);
  const sha256 = createHash('sha256').update(body).digest('hex');
  writing(file, () => writeDurably(file, JSON.stringify({ sha256, body }), () => fence.check()));
}
