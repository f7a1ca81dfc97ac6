import type { Tensor } from '../engine/engine.ts';
import type { Context, Family, Parameters } from './architecture.ts';
import type { Heads } from './attention.ts';
import { fixed, ignored, positive, settingsOf, size, type RawConfig } from './config.ts';
import { decoder, decoderSettings, denseShapes, headsOf, plainNorm } from './decoder.ts';
import { dense, weight } from './dense.ts';
import { columns, gatedSilu } from './primitives.ts';
import { ropeOf } from './rope-config.ts';
import type { Tape } from './tape.ts';

const settings = {
  ...decoderSettings,
  head_dim: size.nullish(),
  rms_norm_eps: positive.default(1e-5),
  sliding_window: size.nullish(),
  original_max_position_embeddings: size.default(4096),
  partial_rotary_factor: positive.max(1).optional(),
  attention_bias: fixed(false),
  mlp_bias: fixed(false),
  lm_head_bias: fixed(false),
  full_attn_mod: fixed(1),
  interpolate_factor: fixed(1),
  resid_pdrop: ignored,
  embd_pdrop: ignored,
};

/** Self-attention whose queries, keys and values come of one projection, added to `sum`. */
function fusedAttention(
  tape: Tape,
  x: Tensor,
  p: Parameters,
  { heads, context, sum }: { heads: Heads; context: Context; sum: Tensor },
): Tensor {
  const fused = dense(tape, x, p, 'self_attn.qkv_proj');
  const [queries, keys] = [heads.query * heads.size, heads.keyValue * heads.size];
  const qkv = {
    q: columns(tape, fused, 0, queries),
    k: columns(tape, fused, queries, keys),
    v: columns(tape, fused, queries + keys, keys),
  };
  const { kind, rotation } = context;
  const attended = context.attend(tape, qkv, heads, { window: kind.window, rotation });
  return dense(tape, attended, p, { name: 'self_attn.o_proj', sum });
}

/** SwiGLU whose gate and up come of one projection, added to `sum`. */
function fusedMlp(tape: Tape, x: Tensor, p: Parameters, sum: Tensor): Tensor {
  const fused = dense(tape, x, p, 'mlp.gate_up_proj');
  const inner = (fused.shape[1] as number) / 2;
  const gated = gatedSilu(tape, columns(tape, fused, 0, inner), columns(tape, fused, inner, inner));
  return dense(tape, gated, p, { name: 'mlp.down_proj', sum });
}

/** Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024) as transformers' Phi3ForCausalLM computes them. */
export function phi3(raw: RawConfig): Family {
  const c = settingsOf(raw, settings);
  const heads = headsOf(c, c.head_dim);
  const norm = plainNorm(c.rms_norm_eps);
  const kind = {
    name: 'block',
    window: c.sliding_window ?? undefined,
    rope: ropeOf(raw, {
      headSize: heads.size,
      theta: 10_000,
      partial: true,
      // Early checkpoints name it so, and transformers reads "yarn" as longrope here.
      aliases: { su: 'longrope', yarn: 'longrope' },
      originalPositions: c.original_max_position_embeddings,
    }),
  };
  const [hidden, inner] = [c.hidden_size, c.intermediate_size];
  return {
    ...decoder(c, { modelType: 'phi3', heads, kind: () => kind }),
    blockShapes: {
      'input_layernorm.weight': [hidden],
      ...denseShapes('self_attn.qkv_proj', [(heads.query + 2 * heads.keyValue) * heads.size, hidden]),
      ...denseShapes('self_attn.o_proj', [hidden, heads.query * heads.size]),
      'post_attention_layernorm.weight': [hidden],
      ...denseShapes('mlp.gate_up_proj', [2 * inner, hidden]),
      ...denseShapes('mlp.down_proj', [hidden, inner]),
    },
    block: (tape, x, p, context) => {
      const h = norm(tape, x, weight(p, 'input_layernorm'));
      const middle = fusedAttention(tape, h, p, { heads, context, sum: x });
      const h2 = norm(tape, middle, weight(p, 'post_attention_layernorm'));
      return fusedMlp(tape, h2, p, middle);
    },
  };
}
