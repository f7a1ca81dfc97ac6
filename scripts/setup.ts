import { spawnSync } from 'node:child_process';

/**
 * Installs what a ring of tests needs on a new machine, one heavy build after the other; each is cached outside the
 * project by its content's hash, so that a second run takes seconds. A ring needs what the rings before it need.
 */
const steps: { ring: string; script: string }[] = [{ ring: 'unit', script: 'trainer-image/engine/native/install.ts' }];

const rings = ['unit', 'integration', 'e2e'];
const wanted = process.argv[2] ?? 'unit';
for (const { ring, script } of steps) {
  if (rings.indexOf(ring) > rings.indexOf(wanted)) continue;
  const { status } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}
