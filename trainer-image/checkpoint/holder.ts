import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { TrainerError } from '../errors.ts';
import { holderName } from './fence.ts';

/** When a process began, in the kernel's ticks: its number alone may have been given to another since. */
function startOf(pid: number): string | undefined {
  try {
    // The name before it may hold blanks and brackets; of what follows it the start is the 20th (proc_pid_stat(5)).
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended and is only not yet collected.
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Who a trainer by hand is, as it stands in the fence of its checkpoint folder and, in at most 64 letters, in its progress. */
export const processHolder = (pid = process.pid): string =>
  `process ${pid} ${startOf(pid) ?? '-'} on ${hostname().slice(0, 24)}`;

/** Throws Fenced when a trainer that was started by hand on this machine, and still runs, holds the folder. */
export function checkHolder(folder: string): void {
  const pid = Number(/^process (\d+) \d+ on /.exec(holderName(folder) ?? '')?.[1] ?? NaN);
  if (Number.isNaN(pid) || pid === process.pid || holderName(folder) !== processHolder(pid)) return;
  const message = `process ${pid} runs this job already (${folder}): wait for it, or stop it with 'kill ${pid}', and start again to go on where it was`;
  throw new TrainerError('Fenced', message);
}
