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

/** Folder of the packages, for PYTHONPATH. */
export function pythonPackages(): string {
  const cache = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
  const hash = createHash('sha256').update(process.arch).update(readFileSync(requirements)).digest('hex');
  return join(cache, `python-${hash.slice(0, 16)}`);
}

function install(): void {
  const folder = pythonPackages();
  if (existsSync(folder)) return;
  console.log('python: installing PyTorch and transformers (PyPI has PyTorch with CUDA only: 5.6 GB, about 90 s)');
  const temporary = `${folder}.partial`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-cache-dir', '--no-compile'];
  const what = ['--no-deps', '--only-binary', ':all:', '--target', temporary, '-r', requirements];
  const { status } = spawnSync('python3', [...pip, ...what], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) {
    console.error('python: pip could not install test/python/requirements.txt (above): is its index reachable?');
    process.exit(1);
  }
  renameSync(temporary, folder);
}

if (import.meta.main) install();
