import { describe, expect, test } from '@jest/globals';
import {
  chooseLengths,
  chooseMode,
  instructionSet,
  planChanges,
  precisionOf,
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
    deterministic: true,
    precision: 'fp32',
    lengths: 'exact',
    mode: 'recorded',
    kernels: 'none',
  };
  expect(planChanges(plan, plan)).toEqual([]);
  const other = { ...plan, instructionSet: 'avx512f', threads: 4 };
  expect(planChanges(plan, other)).toEqual(['instructionSet avx512f, before avx2', 'threads 4, before 2']);
});

describe('the plan chooses', () => {
  test.each([
    ['auto', true, 'bf16'],
    ['auto', false, 'fp32'],
    ['fp32', true, 'fp32'],
    ['bf16', false, 'bf16'],
  ] as const)('of precision %s, on a GPU %s: %s', (asked, gpu, expected) => {
    expect(precisionOf(asked, gpu)).toBe(expected);
  });

  test('rounded lengths on a GPU and exact ones on a CPU', () => {
    expect([chooseLengths('GPU'), chooseLengths('CPU')]).toEqual(['rounded', 'exact']);
  });

  test('to record what is called often enough: many layers, or shapes that repeat', () => {
    expect(chooseMode(7, 'exact')).toBe('eager');
    expect(chooseMode(8, 'exact')).toBe('recorded');
    expect(chooseMode(2, 'rounded')).toBe('recorded');
  });
});
