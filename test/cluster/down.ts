import { setTimeout as sleep } from 'node:timers/promises';
import { find, nameArgument } from './named.ts';

/** `sh scripts/node test/cluster/down.ts [NAME]`: ends what `up.ts [NAME]` brought up, and removes its folder. */
const name = nameArgument(process.argv[2]);
const held = find(name);
if (held) {
  process.kill(held.pid, 'SIGTERM');
  while (find(name)) await sleep(50);
}
console.log(held ? `control plane "${name}" is down` : `there is no control plane "${name}"`);
