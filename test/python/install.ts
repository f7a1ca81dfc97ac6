import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * `install.ts`: PyTorch and transformers of requirements.txt, for the test that opens an export with them. Kept outside
 * the project by the hash of the file, so a second run takes no time.
 */
const requirements = join(import.meta.dirname, 'requirements.txt');

/** What is installed by a file of exact versions, kept under a name. */
interface Packages {
  file: string;
  name: string;
  /** What is downloaded, for whoever waits. */
  what: string;
  /** Folder within, if not the folder itself. */
  inside?: string;
}
const ours: Packages = {
  file: requirements,
  name: 'python',
  what: 'PyTorch and transformers (PyPI has PyTorch with CUDA only: 5.6 GB, about 90 s)',
};

/** Folder of the packages, for PYTHONPATH. */
function folderOf({ file, name, inside = '.' }: Packages): string {
  const cache = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
  const hash = createHash('sha256').update(process.arch).update(readFileSync(file)).digest('hex');
  return join(cache, `${name}-${hash.slice(0, 16)}`, inside);
}
export const pythonPackages = (): string => folderOf(ours);

/** Installs packages where they are missing; returns their folder. Ends the process when pip cannot. */
export function installPackages(packages: Packages = ours): string {
  const folder = folderOf(packages);
  if (existsSync(folder)) return folder;
  console.log(`python: installing ${packages.what}`);
  const temporary = `${folder}.partial`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-cache-dir', '--no-compile'];
  const what = ['--no-deps', '--only-binary', ':all:', '--target', temporary, '-r', packages.file];
  const { status } = spawnSync('python3', [...pip, ...what], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) {
    console.error(`python: pip could not install ${packages.file} (above): is its index reachable?`);
    process.exit(1);
  }
  renameSync(temporary, folder);
  return folder;
}

if (import.meta.main) installPackages();
