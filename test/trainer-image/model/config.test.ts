import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { architectureOf } from '../../../trainer-image/model/models.ts';
import type { Rope } from '../../../trainer-image/model/rope.ts';
import { goldenFolder } from '../golden.ts';

const tiny = JSON.parse(readFileSync(`${goldenFolder}/tiny/config.json`, 'utf8')) as Record<string, unknown>;
const { rope_parameters: _, head_dim: __, ...plain } = tiny;
const scaled = (rope: Record<string, unknown>) => ({ ...tiny, rope_parameters: { rope_theta: 10_000, ...rope } });

describe('config.json', () => {
  test('gives the rope base in either form', () => {
    /** The second pair of 4 dimensions turns by base^(-1/2) a position. */
    const base = (raw: Record<string, unknown>): number => {
      const rope = architectureOf({ head_dim: 4, ...raw }).kind(0).rope as Rope;
      return (rope(1).frequencies[1] as number) ** -2;
    };
    expect(base({ ...plain, rope_theta: 5000 })).toBeCloseTo(5000, 1);
    expect(base({ ...plain, rope_scaling: null, rope_theta: 7000 })).toBeCloseTo(7000, 1);
    expect(base({ ...plain, rope_parameters: { rope_type: 'default', rope_theta: 9000 } })).toBeCloseTo(9000, 1);
    expect(base(plain)).toBeCloseTo(10_000, 1);
  });

  test('with equal settings stands for one architecture, with others for another', () => {
    expect(architectureOf({ ...tiny }).id).toBe(architectureOf(tiny).id);
    expect(architectureOf({ ...tiny, rms_norm_eps: 1e-3 }).id).not.toBe(architectureOf(tiny).id);
  });

  test.each([
    ['an unknown setting', { ...tiny, sliding_chunk: 3 }, /sliding_chunk not known for model_type "llama"/],
    ['an unknown rope type', scaled({ rope_type: 'spiral' }), /rope type "spiral" is not supported; known: default, l/],
    [
      'an incomplete rope',
      scaled({ type: 'linear' }),
      /rope_parameters .*expected number, received undefined.*factor/s,
    ],
    ['an unknown rope setting', scaled({ rope_type: 'linear', factor: 2, ramp: 1 }), /Unrecognized key: "ramp"/],
    ['a partial rotation', scaled({ partial_rotary_factor: 0.5 }), /partial_rotary_factor 0.5 is not supported here/],
    ['another activation', { ...tiny, hidden_act: 'gelu' }, /hidden_act/],
    ['heads that do not divide', { ...tiny, num_key_value_heads: 3 }, /multiple of num_key_value_heads/],
    ['an odd head size', { ...tiny, head_dim: 7 }, /turns 7 dimensions, which must be even/],
    ['another model', { ...tiny, model_type: 'mamba' }, /model_type "mamba" is not supported; known: llama/],
  ])('with %s is refused by name', (___, config, message) => {
    expect(() => architectureOf(config)).toThrow(message);
  });
});
