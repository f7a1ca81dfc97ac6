import { readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Paths of the files below a folder, relative to it, in the order of their names. Links are followed, but no folder is
 * entered twice: links may go round. What is no file (a pipe would never end) is left out.
 */
export function filesBelow(folder: string): string[] {
  return [...walk(folder, '', new Set())].toSorted();
}

function* walk(folder: string, prefix: string, entered: Set<string>): Generator<string> {
  const real = realpathSync(join(folder, prefix));
  if (entered.has(real)) return;
  entered.add(real);
  for (const name of readdirSync(real).toSorted()) {
    const path = join(prefix, name);
    // Nothing where a link leads nowhere, or round to itself.
    const found = kindOf(join(folder, path));
    if (found === 'folder') yield* walk(folder, path, entered);
    else if (found === 'file') yield path;
  }
}

/** What is at a path, through links. */
export function kindOf(path: string): 'file' | 'folder' | 'other' | 'nothing' {
  try {
    const found = statSync(path);
    if (found.isDirectory()) return 'folder';
    return found.isFile() ? 'file' : 'other';
  } catch {
    return 'nothing';
  }
}
