import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { architectureOf } from '../../../trainer-image/model/models.ts';
import type { Rope } from '../../../trainer-image/model/rope.ts';
import { goldenFolder } from '../golden.ts';

const tiny = JSON.parse(readFileSync(`${goldenFolder}/tiny/config.json`, 'utf8')) as Record<string, unknown>;
const { rope_parameters: _, head_dim: __, ...plain } = tiny;
const { cases } = JSON.parse(readFileSync('test/golden/models/reference.json', 'utf8')) as {
  cases: Record<string, { config: Record<string, unknown> }>;
};
const configOf = (name: string): Record<string, unknown> => cases[name]?.config as Record<string, unknown>;
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

  const sliding = ['sliding_attention', 'full_attention'];
  test.each([
    ['qwen2, window from layer 1', { layer_types: ['full_attention'] }, /layer_types names 1 layers of 2/],
    ['qwen2, window from layer 1', { layer_types: ['chunked_attention', 'full_attention'] }, /layer_types/],
    ['qwen2, window unused', { layer_types: sliding }, /sliding_attention, and no sliding_window is set or used/],
    ['qwen2, window unused', { num_key_value_heads: undefined }, /num_key_value_heads/],
    ['qwen3', { mlp_bias: true }, /mlp_bias not known for model_type "qwen3"/],
    ['gpt2', { scale_attn_by_inverse_layer_idx: true }, /scale_attn_by_inverse_layer_idx/],
    ['gpt2', { activation_function: 'relu' }, /activation_function/],
    ['gpt2', { n_head: 5 }, /n_embd must be a multiple of n_head/],
    ['smollm3, no window', { no_rope_layers: [1, 0] }, /no_rope_layers names 2 layers of 4/],
    ['smollm3, no window', { no_rope_layers: [1, 2, 1, 1] }, /no_rope_layers/],
    ['mistral', { layer_types: sliding }, /layer_types not known for model_type "mistral"/],
    [
      'phi3, longrope',
      { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1, 2] } },
      /short_factor has 1/,
    ],
    ['phi3, longrope', { partial_rotary_factor: 0.4 }, /a head turns 3 dimensions, which must be even/],
    ['gemma3_text, old form', { final_logit_softcapping: 30 }, /final_logit_softcapping/],
    ['gemma3_text, old form', { use_bidirectional_attention: true }, /use_bidirectional_attention/],
    ['gemma3_text, nested form', { rope_parameters: { rope_type: 'default' } }, /by layer type: .*rope_type/s],
    ['llama', { rope_parameters: { full_attention: { rope_type: 'default' } } }, /Unrecognized key: "full_attention"/],
  ])('of "%s" with %j is refused by name', (name, change, message) => {
    expect(() => architectureOf(configOf(name))).not.toThrow();
    expect(() => architectureOf({ ...configOf(name), ...change })).toThrow(message);
  });
});
