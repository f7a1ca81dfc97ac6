import { z } from 'zod';
import type { Tensor } from '../engine/engine.ts';
import type { Family, Parameters } from './architecture.ts';
import { fixed, ignored, positive, refusal, settingsOf, size, type RawConfig } from './config.ts';
import { conv1d } from './dense.ts';
import { columns, gelu, layerNorm } from './primitives.ts';
import type { Tape } from './tape.ts';

const settings = {
  vocab_size: size,
  n_positions: size,
  n_embd: size,
  n_layer: size,
  n_head: size,
  n_inner: size.nullish(),
  layer_norm_epsilon: positive.default(1e-5),
  activation_function: z.enum(['gelu_new', 'gelu_pytorch_tanh']).default('gelu_new'),
  tie_word_embeddings: z.boolean().default(true),
  scale_attn_weights: fixed(true),
  scale_attn_by_inverse_layer_idx: fixed(false),
  add_cross_attention: fixed(false),
  // How scores are computed in half precision, dropout, and the heads of other tasks.
  reorder_and_upcast_attn: ignored,
  n_ctx: ignored,
  n_special: ignored,
  output_past: ignored,
  predict_special_tokens: ignored,
  attn_pdrop: ignored,
  embd_pdrop: ignored,
  resid_pdrop: ignored,
  summary_activation: ignored,
  summary_first_dropout: ignored,
  summary_proj_to_labels: ignored,
  summary_type: ignored,
  summary_use_proj: ignored,
};

/** Shapes of a Conv1D: weight [in, out], bias [out]. */
const conv = (name: string, into: number, out: number) => ({
  [`${name}.weight`]: [into, out],
  [`${name}.bias`]: [out],
});
const normShapes = (name: string, width: number) => ({ [`${name}.weight`]: [width], [`${name}.bias`]: [width] });

/** GPT-2 (Radford et al. 2019) as transformers' GPT2LMHeadModel computes it: learned positions, layer norms, biases. */
export function gpt2(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const hidden = c.n_embd;
  const inner = c.n_inner ?? 4 * hidden;
  const heads = { query: c.n_head, keyValue: c.n_head, size: hidden / c.n_head };
  if (!Number.isInteger(heads.size)) throw refusal('n_embd must be a multiple of n_head');
  const norm = (tape: Tape, x: Tensor, p: Parameters, name: string): Tensor =>
    layerNorm(tape, x, [p[`${name}.weight`] as Tensor, p[`${name}.bias`] as Tensor], c.layer_norm_epsilon);
  const kind = { name: 'block', rope: undefined, window: undefined };
  const [embedding, final] = ['transformer.wte.weight', 'transformer.ln_f'];
  return {
    config: { modelType: 'gpt2', vocabSize: c.vocab_size, hiddenSize: hidden, layers: c.n_layer },
    basePrefix: 'transformer.',
    embedding,
    head: c.tie_word_embeddings ? embedding : 'lm_head.weight',
    embeddingScale: 1,
    positions: { name: 'transformer.wpe.weight', size: c.n_positions },
    finalNorm: { shapes: normShapes(final, hidden), apply: (tape, x, p) => norm(tape, x, p, final) },
    prefix: (layer) => `transformer.h.${layer}.`,
    kind: () => kind,
    denseLayout: 'in-out',
    blockShapes: {
      ...normShapes('ln_1', hidden),
      ...conv('attn.c_attn', hidden, 3 * hidden),
      ...conv('attn.c_proj', hidden, hidden),
      ...normShapes('ln_2', hidden),
      ...conv('mlp.c_fc', hidden, inner),
      ...conv('mlp.c_proj', inner, hidden),
    },
    block: (tape, x, p, context) => {
      const fused = conv1d(tape, norm(tape, x, p, 'ln_1'), p, 'attn.c_attn');
      const part = (i: number): Tensor => columns(tape, fused, i * hidden, hidden);
      const attended = context.attend(tape, { q: part(0), k: part(1), v: part(2) }, heads);
      const middle = conv1d(tape, attended, p, { name: 'attn.c_proj', sum: x });
      const activated = gelu(tape, conv1d(tape, norm(tape, middle, p, 'ln_2'), p, 'mlp.c_fc'));
      return conv1d(tape, activated, p, { name: 'mlp.c_proj', sum: middle });
    },
  };
}
