import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSeededWeights } from '../../examples/starter/weights.ts';
import type { ModelShape } from './work.ts';

/** SmolLM2-135M's config.json; its weights are drawn from a seed, since speed does not depend on them. */
export const config = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  bos_token_id: 0,
  eos_token_id: 0,
  head_dim: 64,
  hidden_act: 'silu',
  hidden_size: 576,
  initializer_range: 0.041666666666666664,
  intermediate_size: 1536,
  max_position_embeddings: 8192,
  mlp_bias: false,
  model_type: 'llama',
  num_attention_heads: 9,
  num_hidden_layers: 30,
  num_key_value_heads: 3,
  rms_norm_eps: 1e-5,
  rope_parameters: { rope_theta: 100000, rope_type: 'default' },
  tie_word_embeddings: true,
  vocab_size: 49152,
} satisfies ModelShape & Record<string, unknown>;

export const endToken = '<|end|>';
export const letterCount = 2048;
/** A letter is a token by itself, whose ids are spread over the vocabulary: a text of n letters has n tokens on both sides. */
export const letter = (index: number): string => String.fromCodePoint(0x4e00 + index);

function tokenizer(): Record<string, unknown> {
  const letters = Array.from({ length: letterCount }, (_, i): [string, number] => [letter(i), 1 + 23 * i]);
  const end = { id: 0, content: endToken, special: true };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return {
    version: '1.0',
    added_tokens: [{ ...end, ...flags }],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab: Object.fromEntries([[endToken, 0], ...letters]), merges: [] },
  };
}

/** Writes the model's folder, a Hugging Face checkpoint, where it is missing. */
export function writeModel(folder: string): void {
  const weights = join(folder, 'model.safetensors');
  if (existsSync(weights)) return;
  mkdirSync(folder, { recursive: true });
  const write = (name: string, value: unknown): void => writeFileSync(join(folder, name), JSON.stringify(value));
  write('config.json', config);
  write('tokenizer.json', tokenizer());
  const names = { eos_token: endToken, pad_token: endToken, tokenizer_class: 'PreTrainedTokenizerFast' };
  write('tokenizer_config.json', { ...names, model_max_length: config.max_position_embeddings });
  writeSeededWeights(`${weights}.partial`, config, 7);
  renameSync(`${weights}.partial`, weights);
}
