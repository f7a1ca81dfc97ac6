import { spawnSync } from 'node:child_process';
import { nodePrograms } from '../test/cluster/real-node.ts';
import { installMissing } from './debian.ts';

/**
 * `setup.ts unit|runs|integration|e2e|quickstart`: installs what a ring of tests, or quickstart, needs on a new machine, one heavy build after the other;
 * each is cached outside the project by its content's hash, so that a second run takes seconds.
 */
interface Needs {
  /** Programs and the Debian packages they are in. */
  programs: Record<string, string>;
  /** Run in this order, each with its arguments. */
  scripts: string[][];
}

const engine: Needs = {
  // The binding is compiled against the wheel that pip downloads.
  programs: { python3: 'python3', pip3: 'python3-pip', 'g++': 'g++' },
  scripts: [['trainer-image/engine/native/install.ts']],
};
const controlPlane: Needs = {
  programs: { python3: 'python3', pip3: 'python3-pip', openssl: 'openssl' },
  scripts: [['test/cluster/install.ts', '--tools']],
};
const quickstart: Needs = {
  programs: { ...engine.programs, ...controlPlane.programs, ...nodePrograms },
  scripts: [...engine.scripts, ['test/cluster/install.ts', '--node'], ['scripts/images.ts']],
};
const realNode: Needs = {
  ...quickstart,
  scripts: [...quickstart.scripts, ['test/cluster/install.ts', '--s3'], ['test/python/install.ts']],
};
const needs: Record<string, Needs> = {
  // A certificate is made in a test.
  unit: { ...engine, programs: { ...engine.programs, openssl: 'openssl' } },
  runs: engine,
  integration: controlPlane,
  quickstart,
  e2e: realNode,
};

const runs = (script: string[]): boolean =>
  spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', ...script], { stdio: 'inherit' }).status === 0;

const wanted = needs[process.argv[2] ?? 'unit'];
if (!wanted) {
  console.error(`usage: setup.ts ${Object.keys(needs).join('|')}`);
  process.exit(2);
}
if (!installMissing(wanted.programs) || !wanted.scripts.every(runs)) process.exit(1);
