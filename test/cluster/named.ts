import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A control plane that outlives the command which brought it up, held by a process of its own. */
export interface Held {
  pid: number;
  kubeconfig: string;
}

/** What the command line of the process that holds a control plane shows. */
const holder = join('cluster', 'up.ts');

const folder = join(import.meta.dirname, '..', '..', '.dpo', 'cluster');
const file = (name: string): string => join(folder, `${name}.json`);

/** The name that `up.ts` and `down.ts` were given, `default` without one; throws when it is no file name. */
export function nameArgument(argument = 'default'): string {
  if (!/^[a-z0-9-]{1,40}$/.test(argument))
    throw new Error(`"${argument}" is no name for a cluster: use a-z, 0-9 and "-"`);
  return argument;
}

export function remember(name: string, held: Held): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(file(name), JSON.stringify(held));
}

export const forget = (name: string): void => rmSync(file(name), { force: true });

/** The control plane of that name, or nothing when there is none or its process is gone. */
export function find(name: string): Held | undefined {
  try {
    const held = JSON.parse(readFileSync(file(name), 'utf8')) as Held;
    // After a reboot the number may be anyone's.
    return readFileSync(`/proc/${held.pid}/cmdline`, 'utf8').includes(holder) ? held : undefined;
  } catch {
    return undefined;
  }
}
