import type { Lengths } from './cases.ts';

/** The numbers of config.json that say how much there is to compute. */
export interface ModelShape {
  num_hidden_layers: number;
  hidden_size: number;
  intermediate_size: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  vocab_size: number;
}

/** Tokens of some pairs, the prompt counted once. */
export const tokensOf = (pairs: readonly Lengths[]): number => pairs.flat().reduce((sum, length) => sum + length, 0);

/** Query and key pairs that causal attention computes: each token sees itself, what is before it, and never the other answer. */
function attended([prompt, chosen, rejected]: Lengths): number {
  const within = (length: number): number => (length * (length + 1)) / 2;
  return within(prompt) + chosen * prompt + within(chosen) + rejected * prompt + within(rejected);
}

/**
 * Floating point operations that a step on these pairs cannot do without, a multiplication and an addition being two:
 *
 *   linear layers  2 N P   forward, 2 N P for the gradient of their input, and 2 N P for that of their weights
 *   head           2 R H V forward, and as much for each of both gradients
 *   attention      4 S D   forward (scores, and the sum of values), 8 S D backward (of queries, keys, scores, values)
 *
 * N tokens with each prompt once, P numbers in the linear layers, R answer tokens, H the hidden size, V the vocabulary, S what
 * `attended` counts, D query heads times their size, for each layer. With adapters the gradient of weights is that of the
 * adapters alone (6 N r (in + out) for both of their passes). Nothing that is computed again counts, nor norms,
 * activations, softmax and the optimizer.
 */
export function stepWork(pairs: readonly Lengths[], shape: ModelShape, lora?: { rank: number }): number {
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers } = shape;
  const keyValue = (hidden / shape.num_attention_heads) * shape.num_key_value_heads;
  const linears = [
    ...[hidden, keyValue, keyValue, hidden].map((out) => [hidden, out] as const),
    ...([
      [hidden, inner],
      [hidden, inner],
      [inner, hidden],
    ] as const),
  ];
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const weights = layers * sum(linears.map(([into, out]) => into * out));
  const adapters = layers * sum(linears.map(([into, out]) => (lora?.rank ?? 0) * (into + out)));
  const tokens = tokensOf(pairs);
  const rows = sum(pairs.map(([, chosen, rejected]) => chosen + rejected));
  const passes = lora === undefined ? 3 : 2;
  const dense = passes * 2 * (tokens * weights + rows * hidden * shape.vocab_size) + 6 * tokens * adapters;
  return dense + 12 * layers * hidden * sum(pairs.map(attended));
}
