/** The numbers of a Llama's config.json that say what it needs. */
export interface ScaleShape {
  hidden: number;
  inner: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headSize: number;
  vocabulary: number;
  tied: boolean;
}

const shape = (
  [hidden, inner, layers]: [number, number, number],
  [heads, keyValueHeads, headSize]: [number, number, number],
  vocabulary: number,
  tied = true,
): ScaleShape => ({ hidden, inner, layers, heads, keyValueHeads, headSize, vocabulary, tied });

/** As their config.json on the Hub has them. */
export const models: Record<string, ScaleShape> = {
  'SmolLM2-135M': shape([576, 1536, 30], [9, 3, 64], 49_152),
  'SmolLM2-360M': shape([960, 2560, 32], [15, 5, 64], 49_152),
  'SmolLM2-1.7B': shape([2048, 8192, 24], [32, 32, 64], 49_152),
  'SmolLM3-3B': shape([2048, 11_008, 36], [16, 4, 128], 128_256),
  'Llama-3.1-8B': shape([4096, 14_336, 32], [32, 8, 128], 128_256, false),
};

/** Sizes [in, out] of a block's dense layers. */
export function denseLayers({ hidden, inner, heads, keyValueHeads, headSize }: ScaleShape): [number, number][] {
  const [query, keyValue] = [heads * headSize, keyValueHeads * headSize];
  return [
    [hidden, query],
    [hidden, keyValue],
    [hidden, keyValue],
    [query, hidden],
    [hidden, inner],
    [hidden, inner],
    [inner, hidden],
  ];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Numbers in a model's weights, tied ones once. */
export function parameters(model: ScaleShape): number {
  const { hidden, layers, vocabulary, tied } = model;
  const block = sum(denseLayers(model).map(([into, out]) => into * out)) + 2 * hidden;
  return vocabulary * hidden * (tied ? 1 : 2) + layers * block + hidden;
}

/** Numbers in adapters of a rank on every dense layer. */
export const adapterParameters = (model: ScaleShape, rank: number): number =>
  model.layers * sum(denseLayers(model).map(([into, out]) => rank * (into + out)));

/** A shape as a config.json of a Llama. */
export const configOf = (model: ScaleShape): Record<string, unknown> => ({
  model_type: 'llama',
  hidden_size: model.hidden,
  intermediate_size: model.inner,
  num_hidden_layers: model.layers,
  num_attention_heads: model.heads,
  num_key_value_heads: model.keyValueHeads,
  head_dim: model.headSize,
  vocab_size: model.vocabulary,
  tie_word_embeddings: model.tied,
  initializer_range: 0.02,
  rms_norm_eps: 1e-5,
  rope_theta: 100_000,
});
