import { spawnSync } from 'node:child_process';

/**
 * Installs what a ring of tests needs on a new machine, one heavy build after the other; each is cached outside the
 * project by its content's hash, so that a second run takes seconds.
 */
const engine = 'trainer-image/engine/native/install.ts';
const steps: Record<string, string[]> = {
  unit: [engine],
  integration: ['test/cluster/install.ts'],
  e2e: [engine],
};

for (const script of steps[process.argv[2] ?? 'unit'] ?? []) {
  const command = ['--disable-warning=ExperimentalWarning', script];
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
