import { readFileSync } from 'node:fs';
import { processorFlags } from '../../trainer-image/engine/compute-plan.ts';
import { usableFlags } from '../../trainer-image/engine/engine.ts';
import { chooseKernels, kernelSets } from '../../trainer-image/engine/kernel-sets.ts';

const flags = usableFlags(processorFlags(readFileSync('/proc/cpuinfo', 'utf8')));

/** The kernel sets that this machine runs: 'none' and those of its instruction sets. */
export const kernelSetsHere = kernelSets.filter((set) => chooseKernels(flags, set) === set);
