import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TrainerError } from '../errors.ts';
import { writing } from './durable.ts';

/**
 * One writer per checkpoint folder. Whoever starts takes the next generation by creating its file exclusively; the highest
 * generation holds the folder, and an older trainer (on a node thought lost, say) stops before it writes.
 */
export interface Fence {
  generation: number;
  /** Throws Fenced when a newer trainer holds the folder. */
  check(): void;
}

const pattern = /^fence-(\d+)\.json$/;

function generations(folder: string): number[] {
  return readdirSync(folder)
    .map((name) => Number(pattern.exec(name)?.[1]))
    .filter((generation) => !Number.isNaN(generation))
    .sort((a, b) => a - b);
}

const fileOf = (folder: string, generation: number): string => join(folder, `fence-${generation}.json`);

/** Takes the folder for this trainer. `holder` (the pod's UID) is written down for people. */
export function takeFence(folder: string, holder: string): Fence {
  writing('the checkpoint folder', () => mkdirSync(folder, { recursive: true }));
  for (;;) {
    const older = generations(folder);
    const generation = (older.at(-1) ?? 0) + 1;
    try {
      writing('the checkpoint folder', () =>
        writeFileSync(fileOf(folder, generation), JSON.stringify({ generation, holder }), { flag: 'wx', flush: true }),
      );
    } catch (error) {
      // Another trainer took this generation at the same moment: take the next.
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    older.forEach((old) => rmSync(fileOf(folder, old), { force: true }));
    return { generation, check: () => checkFence(folder, generation) };
  }
}

function checkFence(folder: string, generation: number): void {
  const newest = generations(folder).at(-1);
  if (newest === generation) return;
  const message = `${shownHolder(folder)} has taken over the checkpoint folder ${folder}`;
  throw new TrainerError('Fenced', message);
}

/** Who holds a folder, as the file of its newest generation tells it; undefined where nobody does, or nothing is told. */
export function holderName(folder: string): string | undefined {
  const newest = existsSync(folder) ? generations(folder).at(-1) : undefined;
  if (newest === undefined) return undefined;
  try {
    return (JSON.parse(readFileSync(fileOf(folder, newest), 'utf8')) as { holder: string }).holder;
  } catch {
    return undefined;
  }
}

/** For people: who holds a folder, as far as it is told. */
function shownHolder(folder: string): string {
  const holder = holderName(folder);
  return holder === undefined ? 'somebody' : `another trainer (${holder})`;
}
