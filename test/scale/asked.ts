import type { Way } from './memory.ts';
import type { ScaleShape } from './shapes.ts';

const small: ScaleShape = {
  hidden: 256,
  inner: 704,
  layers: 8,
  heads: 8,
  keyValueHeads: 4,
  headSize: 32,
  vocabulary: 8192,
  tied: true,
};
const wide: ScaleShape = { ...small, hidden: 512, inner: 1408, layers: 6, headSize: 64, vocabulary: 16_384 };
const deep: ScaleShape = { ...small, layers: 16, tied: false };

/** A case to measure. */
export interface Asked {
  shape: ScaleShape;
  way: Pick<Way, 'precision' | 'rank' | 'tokens' | 'recomputed'>;
}
/** What `npm run scale` measures. */
export const asked: readonly Asked[] = [small, wide, deep].flatMap((shape) => [
  { shape, way: { precision: 'fp32', tokens: 1024 } },
  { shape, way: { precision: 'fp32', tokens: 4096 } },
  { shape, way: { precision: 'fp32', tokens: 4096, recomputed: true } },
  { shape, way: { precision: 'fp32', rank: 16, tokens: 4096 } },
  { shape, way: { precision: 'bf16', tokens: 4096 } },
  { shape, way: { precision: 'bf16', rank: 16, tokens: 4096 } },
]);
