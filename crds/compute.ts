import { z } from 'zod';

/** Fields of `training` that decide with what memory and precision a step is computed. */
export const computeFields = {
  microBatchTokens: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(4096)
    .describe('Tokens computed at once: bounds memory, changes no result'),
  gradientCheckpointing: z
    .boolean()
    .optional()
    .describe(
      'Run blocks again in the backward instead of keeping what they computed: a third more time, least memory, the same result. By default only those whose activations would take more than the weights, and on a GPU none',
    ),
  precision: z
    .enum(['auto', 'bf16', 'fp32'])
    .default('auto')
    .describe('What matrix products multiply; auto: bf16 on a GPU, fp32 on a CPU. Weights and losses are always fp32'),
  fullDeterminism: z
    .boolean()
    .default(false)
    .describe('On a GPU use only operations that give the same bits each time, some of them slower; a CPU always does'),
};
