import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

/** Runs the engine's installation with these programs alone on PATH, each of which answers as told, and an empty cache. */
function install(programs: Record<string, string>): { status: number | null; said: string; cached: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'engine-install-'));
  const [path, cache] = [join(folder, 'bin'), join(folder, 'cache')];
  for (const made of [path, cache]) mkdirSync(made);
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(path, name), 0o755);
  }
  const args = ['--disable-warning=ExperimentalWarning', 'trainer-image/engine/native/install.ts'];
  const env = { ...process.env, PATH: path, DPO_CACHE_DIR: cache };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  return { status, said: stdout + stderr, cached: readdirSync(cache) };
}

describe('npm run engine, before anything is downloaded, names', () => {
  const works = 'exit 0';
  test.each([
    ['a missing python3', { 'g++': works }, /"python3 --version" does not work.*apt-get install python3 python3-pip/],
    [
      'a python3 without pip',
      { 'g++': works, python3: '[ "$1" != -m ]' },
      /"python3 -m pip --version" does not work.*apt-get install python3-pip/,
    ],
    ['a missing g++', { python3: works }, /"g\+\+ --version" does not work.*apt-get install g\+\+/],
  ])('%s', (_, programs, message) => {
    const { status, said, cached } = install(programs);
    expect(said).toMatch(message);
    expect(said).not.toMatch(/downloading|at .*install\.ts/);
    expect([status, cached]).toEqual([1, []]);
  });
});

test('an installation that fails says the tool’s own words and leaves nothing in the cache', () => {
  const { status, said, cached } = install({
    'g++': 'exit 0',
    python3: 'case "$*" in *download*) echo "no such wheel" >&2; exit 1;; esac',
  });
  expect(said).toMatch(/python3 -m failed:\nno such wheel/);
  expect([status, cached]).toEqual([1, []]);
});
