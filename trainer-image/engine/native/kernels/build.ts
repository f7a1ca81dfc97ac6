import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const avx512 = '-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512';
const flags = {
  amx: `${avx512} -mavx512bf16 -mamx-tile -mamx-bf16`,
  avx512,
  avx2: '-mavx2 -mfma',
};

const here = import.meta.dirname;

/** What the kernels are made of. */
export const kernelFiles = (): string[] => readdirSync(here).map((name) => join(here, name));

/**
 * Compiles the kernels for each instruction set that chooseKernels knows of (engine/kernel-sets.ts); one shared library each,
 * which registers its operations with TensorFlow when it is loaded. `run` starts a program; `folder` holds TensorFlow and
 * receives the libraries.
 */
export function buildKernels(
  folder: string,
  napiHeaders: string,
  run: (command: string, args: string[]) => void,
): void {
  const tensorflow = join(folder, 'tensorflow');
  const sources = kernelFiles().filter((file) => file.endsWith('.cc'));
  for (const [set, machine] of Object.entries(flags)) {
    run('g++', [
      // Contracted by the compiler: a product and a sum are one instruction on all these processors.
      ...'-std=c++17 -O3 -ffp-contract=fast -fno-math-errno -Wno-psabi -fPIC -shared -fvisibility=hidden'.split(' '),
      ...machine.split(' '),
      '-DNAPI_VERSION=8',
      `-DINSTRUCTION_SET="${set}"`,
      `-I${napiHeaders}`,
      `-I${join(tensorflow, 'include')}`,
      ...sources,
      '-o',
      join(folder, `kernels-${set}.node`),
      `-L${tensorflow}`,
      '-l:libtensorflow_cc.so.2',
      '-l:libtensorflow_framework.so.2',
      '-lpthread',
      '-Wl,-rpath,$ORIGIN/tensorflow',
      // TensorFlow keeps pointers to what is in it.
      '-Wl,-z,nodelete',
    ]);
  }
}
