import { existsSync } from 'node:fs';
import { kernelsPath } from './built.ts';

const avx512 = ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl', 'avx2', 'fma'];
/** The instruction sets that the kernels are compiled for, best first, and what a processor must have for each. */
const requirements = {
  amx: [...avx512, 'avx512_bf16', 'amx_tile', 'amx_bf16'],
  avx512,
  avx2: ['avx2', 'fma'],
};
export const kernelSets = ['amx', 'avx512', 'avx2', 'none'] as const;
export type KernelSet = (typeof kernelSets)[number];

/** Whether these kernels are here and a processor with these flags runs them. */
function runs(set: KernelSet, flags: ReadonlySet<string>): boolean {
  if (set === 'none') return true;
  return requirements[set].every((flag) => flags.has(flag)) && existsSync(kernelsPath(set));
}

/** The kernels to use on a processor with these flags: the wanted ones where they run, else the best that do. */
export const chooseKernels = (flags: ReadonlySet<string>, wanted?: KernelSet): KernelSet =>
  [...(wanted === undefined ? [] : [wanted]), ...kernelSets].find((set) => runs(set, flags)) ?? 'none';
