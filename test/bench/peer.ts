import { join } from 'node:path';
import { installPackages } from '../python/install.ts';
import { maxLength, settings, type Setting } from './cases.ts';
import { Side, threads } from './side.ts';
import { adapterFile, dataFile, folder, learningRate, modelFolder, type Workload } from './workload.ts';

/** TRL's release, as requirements-peer.txt pins it. */
export const trl = '1.16.0';

/** glibc keeps its pages: without, PyTorch touches fresh ones in every operation, which costs it up to half of its speed. */
const keepingPages = {
  MALLOC_MMAP_THRESHOLD_: '4294967296',
  MALLOC_TRIM_THRESHOLD_: '68719476736',
  MALLOC_TOP_PAD_: '268435456',
};
/** As scripts/node runs ours. */
const oneArena = { MALLOC_ARENA_MAX: '1' };

/** Installs TRL outside of the project where it is missing; returns PYTHONPATH. */
function packages(): string {
  const file = join(import.meta.dirname, 'requirements-peer.txt');
  // datasets hashes what it is given through dill, which takes only modules below a `site-packages` as they are.
  const peer = installPackages({ file, name: 'peer', what: 'TRL (280 MB)', inside: 'site-packages' });
  return `${installPackages()}:${peer}`;
}

/** TRL on the same files as ours. */
export function startPeer(workload: Workload, setting: Setting, flags: readonly string[] = []): Side {
  const { batchSize, accumulation, keepsPages } = settings[setting];
  const { lora, heldOut, steps } = workload;
  const given: Record<string, string | number> = {
    model: modelFolder,
    train: dataFile(workload, 'train'),
    'batch-size': batchSize,
    accumulation,
    steps: steps.length,
    'max-length': maxLength,
    'learning-rate': learningRate,
    threads,
    ...(heldOut === undefined ? {} : { heldout: dataFile(workload, 'heldout') }),
    ...(lora === undefined ? {} : { ...lora, adapter: adapterFile(workload) }),
  };
  const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const environment = { ...(keepsPages ? keepingPages : oneArena), PYTHONPATH: packages() };
  const log = join(folder, `${workload.name}.trl.log`);
  return new Side(['python3', 'test/bench/peer.py', ...args, ...flags], environment, log);
}
