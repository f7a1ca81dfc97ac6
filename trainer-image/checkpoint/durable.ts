import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { TrainerError } from '../errors.ts';

/** Waits until the disk has a file or a folder's entries. */
export function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Puts a finished file or folder in its place: it is there whole or not at all, also after a power cut. `mayCommit` throws
 * when the place has got another writer (fence.ts); it is asked last of all.
 */
export function commit(temporary: string, path: string, mayCommit: () => void): void {
  sync(temporary);
  mayCommit();
  renameSync(temporary, path);
  sync(dirname(path));
}

/** Writes a small file so that it is there whole or not at all. */
export function writeDurably(path: string, text: string, mayCommit: () => void): void {
  const temporary = `${path}.partial`;
  writeFileSync(temporary, text);
  commit(temporary, path, mayCommit);
}

const full = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EFBIG']);

/** Runs f; an error of a volume that is full or cannot be written becomes DiskFull, with what to do. */
export function writing<T>(what: string, f: () => T): T {
  try {
    return f();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || !full.has(code)) throw error;
    const message = `${what} could not be written (${code}): free or enlarge the volume, or let user 1000 write to it`;
    throw new TrainerError('DiskFull', message, { cause: error });
  }
}
