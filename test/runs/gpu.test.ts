import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { exitCodes } from '../../crds/exit-codes.ts';
import { measure, matmulRate } from '../gpu/throughput.ts';
import { goldenFolder, trainingOf } from '../trainer-image/golden.ts';

const gpu = (...args: string[]) =>
  spawnSync('sh', ['scripts/node', 'test/gpu/run.ts', ...args], {
    encoding: 'utf8',
    env: { ...process.env, CUDA_VISIBLE_DEVICES: '' },
  });

describe('npm run gpu', () => {
  test('compares on a CPU, when asked to, what it compares on a GPU', () => {
    const { status, stdout } = gpu('--device', 'cpu');
    expect([status, stdout]).toEqual([0, expect.stringContaining('all within tolerance')]);
    expect(stdout).toMatch(/^Models: 31 cases, at most [\d.]+ % of the tolerance$/m);
    expect(stdout).toContain('fullDeterminism: two runs have the same bits');
  }, 300_000);

  test('says that there is no GPU, with an exit code of its own', () => {
    const { status, stderr } = gpu();
    expect(status).toBe(exitCodes.AcceleratorUnavailable);
    expect(stderr).toContain('finds no GPU');
  }, 60_000);

  test('measures pairs, tokens and work per second', () => {
    const shape = {
      num_hidden_layers: 4,
      hidden_size: 64,
      intermediate_size: 176,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      vocab_size: 4096,
    };
    const lengths = [[10, 8, 6] as const, [5, 9, 4] as const];
    const found = measure(`${goldenFolder}/tiny-policy`, trainingOf({ precision: 'bf16' }), {
      lengths,
      shape,
      steps: 2,
    });
    expect(found.pairsPerSecond).toBeGreaterThan(0);
    expect(found.tokensPerSecond / found.pairsPerSecond).toBeCloseTo(21, 6);
    expect(found.flops).toBeGreaterThan(0);
    expect(matmulRate('bf16', 64)).toBeGreaterThan(0);
  }, 60_000);
});
