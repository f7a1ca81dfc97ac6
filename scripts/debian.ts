import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { isAbsolute, join } from 'node:path';

/** Folders beyond PATH where Debian puts programs for root. */
const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const isInstalled = (command: string): boolean =>
  isAbsolute(command) ? isProgram(command) : folders.some((folder) => isProgram(join(folder, command)));

/**
 * Installs the Debian packages whose programs are missing; the keys are programs (names or absolute paths), the values packages. Does nothing when
 * all are there. Returns whether all are there in the end, after saying what to install by hand otherwise.
 */
export function installMissing(packageOf: Readonly<Record<string, string>>): boolean {
  const missing = [
    ...new Set(
      Object.keys(packageOf)
        .filter((command) => !isInstalled(command))
        .map((c) => packageOf[c]),
    ),
  ];
  const packages = missing.filter((name) => name !== undefined);
  if (packages.length === 0) return true;
  const byHand = `apt-get install ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || !isInstalled('apt-get')) {
    console.error(`setup: missing here, and not root on Debian to install it: ${byHand}`);
    return false;
  }
  console.log(`setup: ${byHand}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: string[]): boolean => spawnSync('apt-get', args, { stdio: 'inherit', env }).status === 0;
  return apt('update', '-qq') && apt('install', '-y', '-qq', '--no-install-recommends', ...packages);
}
