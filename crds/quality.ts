import { z } from 'zod';

/**
 * dataset.quality: what the trainer does about rows and data sets that teach little, or the wrong thing. A field of
 * `thresholds` is a check; trainer-image/data/quality/ has one entry for each.
 */
export const qualityPolicies = ['Warn', 'Drop', 'Fail'] as const;
export type QualityPolicy = (typeof qualityPolicies)[number];

/** Largest share of rows that a check may find. */
const share = (tolerated: number, rows: string): z.ZodDefault<z.ZodNumber> =>
  z.number().min(0).max(1).default(tolerated).describe(`Share of rows ${rows}; 1 switches the check off`);

export const thresholdsSchema = z.object({
  empty: share(0, 'with an empty prompt or answer'),
  identical: share(0, 'whose two answers are equal, or become so when they are truncated'),
  contradicting: share(0, 'whose answers are swapped in another row with the same prompt'),
  duplicate: share(0.01, 'that repeat an earlier one: same prompt, same answers'),
  leaking: share(0, 'whose prompt stands in dataset.evalSource too'),
  truncated: share(0.05, 'that lose tokens to maxLength'),
  lengthBias: z
    .number()
    .min(0.5)
    .max(1)
    .default(0.7)
    .describe('Share of pairs that the rule "the longer (or: the shorter) answer is chosen" may get right'),
  promptDiversity: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe('Least number of distinct prompts per row; 0 switches the check off'),
  ngramDiversity: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe('Least share of distinct word triples in up to 1024 distinct prompts; 0 switches the check off'),
  labelNoise: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe(
      'Share of wrong preferences, estimated from the margins of a precomputed reference; 1 switches the check off',
    ),
});
export type Thresholds = z.output<typeof thresholdsSchema>;

export const qualitySchema = z
  .object({
    policy: z
      .enum(qualityPolicies)
      .default('Warn')
      .describe('Beyond a threshold: warn, or fail the run. Drop warns and leaves out every row that was found'),
    thresholds: thresholdsSchema.prefault({}).describe('Shares and measures from which a check warns or fails'),
  })
  .prefault({})
  .describe('Checks of the data before it is trained on');
export type Quality = z.output<typeof qualitySchema>;
