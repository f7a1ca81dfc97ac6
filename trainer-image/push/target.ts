import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileDigest } from '../checkpoint/store.ts';
import { TrainerError } from '../errors.ts';
import { exportedFiles } from '../export/export.ts';
import { occupiedBy } from '../export/owner.ts';

/** A file of the exported folder. */
export interface PushedFile {
  /** In the folder, without a path. */
  name: string;
  path: string;
  size: number;
  /** In hexadecimal. */
  sha256: string;
}

/** Throws InvalidConfiguration where another than the job has made what is there. */
export function checkOccupied(...asked: Parameters<typeof occupiedBy>): void {
  const message = occupiedBy(...asked);
  if (message !== undefined) throw new TrainerError('InvalidConfiguration', message);
}

/** What a push asks and tells meanwhile. */
export interface Pushing {
  /** Throws when another trainer has taken over. */
  mayCommit: () => void;
  /** Hears of bytes that are there; it may throw to stop. */
  onBytes: (bytes: number) => void;
}

/** Where a trained model is pushed to. Both throw InvalidConfiguration, DiskFull and SourceUnavailable, with what to do. */
export interface Target {
  /** Whether it may be written, asked before any training. Leaves nothing there but what the push needs. */
  check(): Promise<void>;
  /** Brings there what is missing, so that whoever reads meanwhile sees no half of it as whole. Answers what to tell of it. */
  push(files: readonly PushedFile[], pushing: Pushing): Promise<string>;
}

/** The files of an export that are in its folder. */
export function filesOf(folder: string, beat: () => void): PushedFile[] {
  const names = exportedFiles.filter((name) => existsSync(join(folder, name)));
  return names.map((name) => {
    const path = join(folder, name);
    return { name, path, size: statSync(path).size, sha256: fileDigest(path, beat) };
  });
}

/** Pieces of a file of `size` bytes, the last one shorter; each has memory of its own. */
export function* piecesOf(path: string, size: number): Generator<Uint8Array<ArrayBuffer>> {
  const descriptor = openSync(path, 'r');
  try {
    for (let at = 0; ;) {
      const piece = new Uint8Array(size);
      let count = 0;
      for (let read = 1; read > 0 && count < size; count += read)
        read = readSync(descriptor, piece, count, size - count, at + count);
      if (count > 0) yield piece.subarray(0, count);
      if (count < size) return;
      at += count;
    }
  } finally {
    closeSync(descriptor);
  }
}
