import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { mutated, sourceOf, type Fault } from './fault.ts';
import { faults } from './list.ts';

/**
 * `npm run faults [-- --only TEXT]`: puts each fault of list.ts into a copy of the project, one at a time, runs the
 * tests that must find it, and prints `N of N caught`. Exits 1 when one was not.
 */
const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });

/** A copy of the files that git knows or would add; the packages are shared. */
function copyProject(): string {
  const copy = mkdtempSync(join(tmpdir(), 'faults-'));
  const { stdout } = spawnSync('git', ['ls-files', '-z', '-c', '-o', '--exclude-standard'], { encoding: 'utf8' });
  for (const file of stdout.split('\0').filter((name) => name !== '' && existsSync(name)))
    cpSync(file, join(copy, file));
  symlinkSync(resolve('node_modules'), join(copy, 'node_modules'));
  return copy;
}

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numRuntimeErrorTestSuites: number;
}

/** Runs the tests of a fault in the copy. */
function runTests(copy: string, { tests, named }: Pick<Fault, 'tests' | 'named'>): Report {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--selectProjects', 'unit', 'runs', '-i'];
  // With a fault in it a program may go on for ever after its test: it is not waited for.
  const output = ['--json', `--outputFile=${report}`, '--forceExit'];
  const chosen = [`test/${tests}`, ...(named === undefined ? [] : ['-t', named])];
  const { stderr } = spawnSync('sh', ['scripts/node', ...jest, ...output, ...chosen], { cwd: copy, encoding: 'utf8' });
  if (!existsSync(report)) throw new Error(`jest gave no report:\n${stderr}`);
  return JSON.parse(readFileSync(report, 'utf8')) as Report;
}

/** Whether a test failed: a file that cannot even be loaded says nothing about the tests. */
function isCaught(copy: string, fault: Fault): boolean {
  const file = join(copy, sourceOf(fault));
  const source = readFileSync(file, 'utf8');
  writeFileSync(file, mutated(fault, source));
  try {
    const { numFailedTests, numRuntimeErrorTestSuites } = runTests(copy, fault);
    return numFailedTests > 0 && numRuntimeErrorTestSuites === 0;
  } finally {
    writeFileSync(file, source);
  }
}

/** Throws Error when tests fail that no fault has been put before. */
function requireSound(copy: string, chosen: readonly Fault[]): void {
  const different = new Map(chosen.map((fault) => [`${fault.tests} ${fault.named ?? ''}`, fault]));
  for (const [name, fault] of different) {
    const { numPassedTests: passed, numFailedTests: failed, numRuntimeErrorTestSuites: broken } = runTests(copy, fault);
    if (passed > 0 && failed + broken === 0) continue;
    throw new Error(`test/${name}, without any fault: ${passed} passed, ${failed} failed, ${broken} could not be run`);
  }
}

function main(chosen: readonly Fault[]): void {
  const copy = copyProject();
  try {
    requireSound(copy, chosen);
    const caught = chosen.filter((fault) => {
      const found = isCaught(copy, fault);
      console.log(`${found ? 'caught    ' : 'NOT CAUGHT'} ${sourceOf(fault)}: ${fault.title}`);
      return found;
    });
    console.log(`${caught.length} of ${chosen.length} caught`);
    process.exitCode = caught.length === chosen.length ? 0 : 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

main(faults.filter((fault) => `${sourceOf(fault)} ${fault.title}`.includes(values.only)));
