import { describe, expect, test } from '@jest/globals';
import type { LayerKind } from '../../../trainer-image/model/architecture.ts';
import { architectureOf } from '../../../trainer-image/model/models.ts';
import { weightShapes } from '../../../trainer-image/model/weight-shapes.ts';

/** config.json of well-known checkpoints on the Hub, with every setting that each of them has. */
const common = {
  architectures: ['ForCausalLM'],
  attention_dropout: 0,
  bos_token_id: 1,
  eos_token_id: [1, 2],
  initializer_range: 0.02,
  torch_dtype: 'bfloat16',
  transformers_version: '4.57.0',
  use_cache: true,
};
const sized = (hidden: number, inner: number, layers: number, heads: [number, number]) => ({
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: heads[0],
  num_key_value_heads: heads[1],
});
const gpt2 = {
  activation_function: 'gelu_new',
  architectures: ['GPT2LMHeadModel'],
  attn_pdrop: 0.1,
  bos_token_id: 50256,
  embd_pdrop: 0.1,
  eos_token_id: 50256,
  initializer_range: 0.02,
  layer_norm_epsilon: 1e-5,
  model_type: 'gpt2',
  n_ctx: 1024,
  n_embd: 768,
  n_head: 12,
  n_layer: 12,
  n_positions: 1024,
  resid_pdrop: 0.1,
  summary_activation: null,
  summary_first_dropout: 0.1,
  summary_proj_to_labels: true,
  summary_type: 'cls_index',
  summary_use_proj: true,
  task_specific_params: { 'text-generation': { do_sample: true, max_length: 50 } },
  vocab_size: 50257,
};
const gemmaTypes = Array.from({ length: 18 }, (_, i) => ((i + 1) % 6 === 0 ? 'full_attention' : 'sliding_attention'));

interface Published {
  config: Record<string, unknown>;
  /** Weights in millions, as published, tied ones once. */
  millions: number;
  /** Window of each kind of layer, and whether it rotates. */
  kinds: [window: number | undefined, rotates: boolean][];
}

const published: Record<string, Published> = {
  'SmolLM2-135M-Instruct': {
    config: {
      ...common,
      ...sized(576, 1536, 30, [9, 3]),
      model_type: 'llama',
      vocab_size: 49152,
      hidden_act: 'silu',
      attention_bias: false,
      mlp_bias: false,
      is_llama_config: true,
      max_position_embeddings: 8192,
      pad_token_id: 2,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_interleaved: false,
      rope_scaling: null,
      rope_theta: 100000,
      tie_word_embeddings: true,
      'transformers.js_config': { kv_cache_dtype: { q4f16: 'float16', fp16: 'float16' } },
    },
    millions: 134.5,
    kinds: [[undefined, true]],
  },
  'Llama-3.2-1B-Instruct': {
    config: {
      ...common,
      ...sized(2048, 8192, 16, [32, 8]),
      model_type: 'llama',
      vocab_size: 128256,
      head_dim: 64,
      hidden_act: 'silu',
      attention_bias: false,
      mlp_bias: false,
      max_position_embeddings: 131072,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_scaling: {
        factor: 32.0,
        high_freq_factor: 4.0,
        low_freq_factor: 1.0,
        original_max_position_embeddings: 8192,
        rope_type: 'llama3',
      },
      rope_theta: 500000,
      tie_word_embeddings: true,
    },
    millions: 1235.8,
    kinds: [[undefined, true]],
  },
  'Qwen2.5-0.5B-Instruct': {
    config: {
      ...common,
      ...sized(896, 4864, 24, [14, 2]),
      model_type: 'qwen2',
      vocab_size: 151936,
      hidden_act: 'silu',
      max_position_embeddings: 32768,
      max_window_layers: 21,
      rms_norm_eps: 1e-6,
      rope_theta: 1000000,
      sliding_window: 32768,
      tie_word_embeddings: true,
      use_sliding_window: false,
    },
    millions: 494,
    kinds: [[undefined, true]],
  },
  'Qwen3-0.6B': {
    config: {
      ...common,
      ...sized(1024, 3072, 28, [16, 8]),
      model_type: 'qwen3',
      vocab_size: 151936,
      attention_bias: false,
      head_dim: 128,
      hidden_act: 'silu',
      max_position_embeddings: 40960,
      max_window_layers: 28,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: true,
      use_sliding_window: false,
    },
    millions: 596,
    kinds: [[undefined, true]],
  },
  gpt2: { config: gpt2, millions: 124.4, kinds: [[undefined, false]] },
  distilgpt2: {
    config: { ...gpt2, n_layer: 6, _num_labels: 1, id2label: { 0: 'LABEL_0' }, label2id: { LABEL_0: 0 } },
    millions: 81.9,
    kinds: [[undefined, false]],
  },
  'SmolLM3-3B': {
    config: {
      ...common,
      ...sized(2048, 11008, 36, [16, 4]),
      model_type: 'smollm3',
      vocab_size: 128256,
      attention_bias: false,
      hidden_act: 'silu',
      layer_types: Array.from({ length: 36 }, () => 'full_attention'),
      max_position_embeddings: 65536,
      max_window_layers: 28,
      mlp_bias: false,
      no_rope_layer_interval: 4,
      no_rope_layers: Array.from({ length: 36 }, (_, i) => Number((i + 1) % 4 !== 0)),
      pad_token_id: 128004,
      pretraining_tp: 2,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 5000000,
      sliding_window: null,
      use_sliding_window: false,
    },
    millions: 3075.1,
    kinds: [
      [undefined, true],
      [undefined, false],
    ],
  },
  'Mistral-7B-v0.1': {
    config: {
      ...common,
      ...sized(4096, 14336, 32, [32, 8]),
      model_type: 'mistral',
      vocab_size: 32000,
      hidden_act: 'silu',
      max_position_embeddings: 32768,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      sliding_window: 4096,
      tie_word_embeddings: false,
    },
    millions: 7241.7,
    kinds: [[4096, true]],
  },
  'Phi-4-mini-instruct': {
    config: {
      ...common,
      ...sized(3072, 8192, 32, [24, 8]),
      _name_or_path: 'Phi-4-mini-instruct',
      model_type: 'phi3',
      vocab_size: 200064,
      attention_bias: false,
      auto_map: { AutoConfig: 'configuration_phi3.Phi3Config' },
      embd_pdrop: 0,
      full_attn_mod: 1,
      hidden_act: 'silu',
      interpolate_factor: 1,
      lm_head_bias: false,
      max_position_embeddings: 131072,
      mlp_bias: false,
      original_max_position_embeddings: 4096,
      pad_token_id: 199999,
      partial_rotary_factor: 0.75,
      resid_pdrop: 0,
      rms_norm_eps: 1e-5,
      rope_scaling: {
        long_factor: Array.from({ length: 48 }, (_, i) => 1 + i),
        short_factor: Array.from({ length: 48 }, () => 1),
        type: 'longrope',
      },
      rope_theta: 10000,
      sliding_window: 262144,
      tie_word_embeddings: true,
    },
    millions: 3836,
    kinds: [[262144, true]],
  },
  'gemma-3-270m-it': {
    config: {
      ...common,
      ...sized(640, 2048, 18, [4, 1]),
      _sliding_window_pattern: 6,
      model_type: 'gemma3_text',
      vocab_size: 262144,
      attention_bias: false,
      attn_logit_softcapping: null,
      cache_implementation: 'hybrid',
      final_logit_softcapping: null,
      head_dim: 256,
      hidden_activation: 'gelu_pytorch_tanh',
      layer_types: gemmaTypes,
      max_position_embeddings: 32768,
      pad_token_id: 0,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_local_base_freq: 10000,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: 512,
      use_bidirectional_attention: false,
    },
    millions: 268.1,
    kinds: [
      [512, true],
      [undefined, true],
    ],
  },
};

describe('the published checkpoint', () => {
  test.each(Object.entries(published))('%s is known, with all its weights', (_, { config, millions, kinds }) => {
    const architecture = architectureOf(config);
    const count = weightShapes(architecture).reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(count / 1e6).toBeCloseTo(millions, 0);
    const found = new Map<string, LayerKind>();
    for (let layer = 0; layer < architecture.config.layers; layer++) {
      const kind = architecture.kind(layer);
      found.set(kind.name, kind);
    }
    expect([...found.values()].map(({ window, rope }) => [window, rope !== undefined])).toEqual(kinds);
  });
});
