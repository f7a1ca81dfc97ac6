import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { usableFlags } from '../../../trainer-image/engine/engine.ts';
import { chooseKernels } from '../../../trainer-image/engine/kernel-sets.ts';
import { kernelSetsHere } from '../kernel-sets.ts';

test('a processor with a unit for products has kernels for it', () => {
  const listed = readFileSync('/proc/cpuinfo', 'utf8');
  const has = ['amx_tile', 'amx_bf16', 'avx512_bf16'].every((flag) => listed.includes(flag));
  // Linux lets any process have the unit, where nothing keeps the question itself from it.
  expect(kernelSetsHere.includes('amx')).toBe(has);
});

test('what the system keeps from a process is none of its flags', () => {
  const flags = ['avx2', 'amx_tile', 'amx_bf16'];
  expect([...usableFlags(new Set(flags))]).toEqual(kernelSetsHere.includes('amx') ? flags : ['avx2']);
  expect([...usableFlags(new Set(['avx2']))]).toEqual(['avx2']);
});

const avx512 = 'avx512f avx512bw avx512dq avx512vl avx2 fma';
test.each([
  ['with a unit for products', `${avx512} avx512_bf16 amx_tile amx_bf16`, undefined, 'amx'],
  ['without what packs its operands', `${avx512} amx_tile amx_bf16`, undefined, 'avx512'],
  ['the best that the processor runs', avx512, undefined, 'avx512'],
  ['of AVX-512 all of it or none', 'avx512f avx2 fma', undefined, 'avx2'],
  [
    'what a run began with, though there is a unit by now',
    `${avx512} avx512_bf16 amx_tile amx_bf16`,
    'avx512',
    'avx512',
  ],
  ['the next best where the unit is gone', avx512, 'amx', 'avx512'],
  ['what a run began with, where it still runs', avx512, 'avx2', 'avx2'],
  ['the next best where it does not', 'avx2 fma', 'avx512', 'avx2'],
  ['none where a run began without', 'avx2 fma', 'none', 'none'],
  ['none on other processors', 'asimd', undefined, 'none'],
] as const)('kernels are chosen: %s', (_, flags, wanted, expected) => {
  if (process.arch !== 'x64') return;
  expect(chooseKernels(new Set(flags.split(' ')), wanted)).toBe(expected);
});
