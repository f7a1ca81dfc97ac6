import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { goCommand, goDirective } from './go.ts';

/** A program built from a pinned Go module of this folder. */
export interface GoProgram {
  name: string;
  /** Folder beside this file with go.mod and go.sum, and what else the result depends on. */
  module: string;
  sources: readonly string[];
  /** What `go build` is given. */
  package: string;
  /** Passed to the linker beyond `-s -w`. */
  linkerFlags?: string;
  tags?: string;
  /** What it is and how long it takes, for the one who waits. */
  about: string;
}

/** Stops with what was wrong and what to do. */
export function fail(message: string): never {
  console.error(`cluster: ${message}`);
  process.exit(1);
}

function contentHash({ module, sources, package: built, tags = '' }: GoProgram): string {
  const hash = createHash('sha256').update(`${process.arch} ${built} ${tags}`);
  for (const file of sources) hash.update(readFileSync(join(import.meta.dirname, module, file)));
  return hash.digest('hex').slice(0, 16);
}

/** Where the program is, built or not: outside the project, by its sources' hash. */
export function programPath(program: GoProgram): string {
  const cache = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
  return join(cache, `${program.name}-${contentHash(program)}`, program.name);
}

/** `go`, at least as new as the module in this folder asks; stops with what to install where there is none. */
export function goFor(module: string): string {
  try {
    return goCommand(goDirective(readFileSync(join(import.meta.dirname, module, 'go.mod'), 'utf8')));
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** Builds the program unless it is there. */
export function buildProgram(program: GoProgram): void {
  const path = programPath(program);
  if (existsSync(path)) return;
  const go = goFor(program.module);
  console.log(`cluster: building ${program.about}`);
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  const flags = ['-mod=readonly', '-trimpath', ...(program.tags ? ['-tags', program.tags] : [])];
  const linker = ['-ldflags', `-s -w ${program.linkerFlags ?? ''}`.trim()];
  const { status } = spawnSync(go, ['build', ...flags, ...linker, '-o', temporary, program.package], {
    cwd: join(import.meta.dirname, program.module),
    stdio: 'inherit',
    env: { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local' },
  });
  if (status !== 0) fail('the build failed (see above)');
  renameSync(temporary, path);
}
