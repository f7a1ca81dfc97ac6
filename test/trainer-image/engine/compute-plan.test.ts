import { expect, test } from '@jest/globals';
import {
  instructionSet,
  planChanges,
  processorFlags,
  type ComputePlan,
} from '../../../trainer-image/engine/compute-plan.ts';

test.each([
  ['processor\t: 0\nflags\t\t: fpu sse2 avx avx2 fma\n', 'avx avx2 fma'],
  ['flags\t\t: avx512f sse avx avx2 amx_tile fma', 'avx avx2 fma avx512f amx_tile'],
  ['Features\t: fp asimd bf16', 'asimd bf16'],
  ['flags : sse2', 'baseline'],
  ['', 'baseline'],
])('of /proc/cpuinfo %j the kernels choose by: %s', (text, expected) => {
  expect(instructionSet(processorFlags(text))).toBe(expected);
});

test('another machine is told by what differs, the same one by nothing', () => {
  const plan: ComputePlan = {
    tensorflow: '2.21.0',
    device: 'CPU',
    instructionSet: 'avx2',
    threads: 2,
    oneDNN: true,
    tensorFloat32: false,
    mode: 'recorded',
    kernels: 'none',
  };
  expect(planChanges(plan, plan)).toEqual([]);
  const other = { ...plan, instructionSet: 'avx512f', threads: 4 };
  expect(planChanges(plan, other)).toEqual(['instructionSet avx512f, before avx2', 'threads 4, before 2']);
});
