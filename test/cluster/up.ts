import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { startControlPlane } from './control-plane.ts';
import { find, forget, nameArgument, remember } from './named.ts';

/**
 * `sh scripts/node test/cluster/up.ts [NAME]`: brings a control plane up, prints the path of its kubeconfig and leaves it
 * running until `down.ts [NAME]`. With different names several run side by side.
 */
const [argument, mode] = process.argv.slice(2);
const name = nameArgument(argument);

async function hold(): Promise<void> {
  const plane = await startControlPlane();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      // down.ts waits for the name to be forgotten, which says that everything is gone.
      plane.stop();
      forget(name);
      process.exit(0);
    });
  remember(name, { pid: process.pid, kubeconfig: plane.kubeconfig });
}

async function up(): Promise<void> {
  if (!find(name)) {
    const command = ['--disable-warning=ExperimentalWarning', import.meta.filename, name, 'hold'];
    const holder = spawn(process.execPath, command, { detached: true, stdio: ['ignore', 'ignore', 'inherit'] });
    while (!find(name)) {
      if (holder.exitCode !== null) process.exit(1);
      await sleep(100);
    }
    holder.unref();
  }
  console.log(find(name)?.kubeconfig);
}

await (mode === 'hold' ? hold() : up());
