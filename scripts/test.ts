import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';

/**
 * Runs the rings of tests in their order (unit, whole runs of the trainer, integration, end to end) after setting up what each needs, and closes
 * with the line `N passed, N failed`. Exits 1 when anything failed, also a step that is no jest test: lint and verify
 * run before the rings and count as one test each.
 *
 * Use: `npm test`, or `npm run test:unit -- test/operator` for the tests under one path.
 */
type Ring = 'unit' | 'runs' | 'integration' | 'e2e';
interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const rings: Record<Ring, string[]> = {
  unit: ['--maxWorkers=2'],
  runs: ['--maxWorkers=2'],
  // One file at a time: each brings a cluster up, and two cores are all there may be.
  integration: ['--runInBand'],
  e2e: ['--runInBand', '--verbose'],
};

function run(title: string, command: string[]): boolean {
  console.log(`\n== ${title}`);
  const started = performance.now();
  const [program = 'sh', ...rest] = command;
  const ok = spawnSync(program, rest, { stdio: 'inherit' }).status === 0;
  console.log(`== ${title}: ${ok ? 'ok' : 'FAILED'} in ${Math.round((performance.now() - started) / 1000)} s`);
  return ok;
}

const node = (...args: string[]): string[] => ['sh', 'scripts/node', ...args];
const asCount = (ok: boolean): Count => ({ passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 });

function runRing(ring: Ring, paths: string[]): Count {
  const report = `.dpo/test/${ring}.json`;
  rmSync(report, { force: true });
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--selectProjects', ring];
  const ok = run(`tests: ${ring}`, node(...jest, ...rings[ring], '--json', `--outputFile=${report}`, ...paths));
  return { ...readReport(report), ...(ok ? {} : atLeastOneFailure(report)) };
}

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numRuntimeErrorTestSuites: number;
}

/** A test file that cannot be loaded is a failure, although none of its tests ran. */
function readReport(file: string): Count {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
    const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
    return { passed: report.numPassedTests, failed, skipped: report.numPendingTests };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** jest also fails without a failed test (no test found, an open handle, a crash): that counts. */
const atLeastOneFailure = (report: string): Pick<Count, 'failed'> => ({
  failed: Math.max(1, readReport(report).failed),
});

function main(which: string, paths: string[]): void {
  const chosen: Ring[] = which === 'all' ? (Object.keys(rings) as Ring[]) : [which as Ring];
  mkdirSync('.dpo/test', { recursive: true });
  const counts: Count[] = [];
  if (which === 'all') {
    counts.push(asCount(run('lint', ['sh', 'scripts/lint'])));
    counts.push(asCount(run('verify: generated files are up to date', node('scripts/generate.ts', '--check'))));
  }
  for (const ring of chosen) {
    const ready = run(`setup: ${ring}`, node('scripts/setup.ts', ring));
    counts.push(ready ? runRing(ring, paths) : asCount(false));
  }
  const sum = (key: keyof Count): number => counts.reduce((total, count) => total + count[key], 0);
  const skipped = sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : '';
  console.log(`\n${sum('passed')} passed, ${sum('failed')} failed${skipped}`);
  process.exitCode = sum('failed') > 0 || sum('passed') === 0 ? 1 : 0;
}

const [which = 'all', ...paths] = process.argv.slice(2);
if (which !== 'all' && !(which in rings)) {
  console.error(`usage: test.ts all|${Object.keys(rings).join('|')} [path ...]`);
  process.exit(2);
}
main(which, paths);
