import { z } from 'zod';
import { equals, given, implies, not, type Condition, type Rule } from './rules.ts';

/** The losses of TRL's DPOTrainer 1.16, in its order; then those that it does not have, or has in other trainers. */
export const lossTypes = [
  'sigmoid',
  'hinge',
  'ipo',
  'exo_pair',
  'nca_pair',
  'robust',
  'bco_pair',
  'sppo_hard',
  'aot',
  'aot_unpaired',
  'apo_zero',
  'apo_down',
  'discopop',
  'sft',
  'sigmoid_norm',
  'cdpo',
  'simpo',
  'cpo',
  'orpo',
] as const;
export type LossType = (typeof lossTypes)[number];

export const fDivergences = ['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'] as const;

/** Preference losses that measure the policy by itself: no reference model is computed for them. */
const withoutReference = ['simpo', 'cpo', 'orpo'] as const satisfies LossType[];
/** All terms that need none. */
export const referenceFree: readonly LossType[] = [...withoutReference, 'sft'];
/**
 * Whether a higher beta holds the policy nearer to where it began. ORPO's is its lambda, the weight of the odds ratio: a higher
 * one moves the policy further.
 */
export const betaHolds = (loss: readonly { type: LossType }[]): boolean => loss.every(({ type }) => type !== 'orpo');
/** Whether any term reads beta: the cross-entropy of `sft` does not. */
export const readsBeta = (loss: readonly { type: LossType }[]): boolean => loss.some(({ type }) => type !== 'sft');
/** Losses that read labelSmoothing. */
const smoothed = ['cdpo', 'robust', 'exo_pair', 'aot', 'aot_unpaired', 'simpo', 'cpo'] as const satisfies LossType[];
/** Losses that sort the answers of a whole batch. */
export const sorted = ['aot', 'aot_unpaired'] as const satisfies LossType[];
/** Losses of a margin, in which an f-divergence's score may take the log-ratio's place. */
const scored = ['sigmoid', 'cdpo', 'hinge', 'ipo', 'exo_pair', 'robust', 'discopop', 'sigmoid_norm'] as const;

const lossSchema = z.object({
  type: z.enum(lossTypes).describe('Formulas and papers: docs/losses.md'),
  weight: z.number().gt(0).max(1e6).default(1).describe('Factor of this term in the sum'),
});

/** Fields of `training` that choose the loss. */
export const lossFields = {
  loss: z
    .array(lossSchema)
    .min(1)
    .max(8)
    .default([{ type: 'sigmoid', weight: 1 }])
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .describe('Loss terms, added with their weights'),
  beta: z
    .number()
    .gt(0)
    .max(1000)
    .default(0.1)
    .describe('Strength of the pull towards the reference model: higher beta, less deviation'),
  labelSmoothing: z
    .number()
    .min(0)
    .max(0.5)
    .default(0)
    .describe('Share of pairs whose preference is taken to be wrong: for cdpo, robust, exo_pair, aot and others'),
  fDivergence: z
    .enum(fDivergences)
    .default('reverse_kl')
    .describe('Divergence from the reference that the loss stands for'),
  fAlphaDivergenceCoef: z.number().min(0).max(10).default(0.5).describe('Alpha of alpha_divergence'),
  ldAlpha: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("LD-DPO: weight of an answer's tokens beyond the shorter answer's length; 1 changes nothing"),
  useWeighting: z
    .boolean()
    .default(false)
    .describe('WPO: pairs that the policy itself would write weigh more in the preference terms'),
  discopopTau: z.number().gt(0).max(10).default(0.05).describe('Temperature of discopop'),
  simpoGamma: z.number().min(0).max(100).default(0.5).describe('Margin that simpo asks for'),
  cpoAlpha: z.number().min(0).max(1e6).default(1).describe("Weight of cpo's cross-entropy of the chosen answers"),
};

type LossFields = z.output<z.ZodObject<typeof lossFields>>;
type Is = Condition<LossFields>;

const listed = (types: readonly string[]): string => `[${types.map((type) => `'${type}'`).join(', ')}]`;
/** One of the terms is of these types; all are. */
const some = (...types: LossType[]): Is => ({
  cel: `self.loss.exists(l, l.type in ${listed(types)})`,
  holds: ({ loss }) => loss.some(({ type }) => types.includes(type)),
});
const all = (...types: LossType[]): Is => ({
  cel: `self.loss.all(l, l.type in ${listed(types)})`,
  holds: ({ loss }) => loss.every(({ type }) => types.includes(type)),
});
const onePreferenceTerm: Is = {
  cel: `self.loss.filter(l, l.type != 'sft').size() == 1`,
  holds: ({ loss }) => loss.filter(({ type }) => type !== 'sft').length === 1,
};
const eachOnce: Is = {
  cel: 'self.loss.all(l, self.loss.exists_one(m, m.type == l.type))',
  holds: ({ loss }) => new Set(loss.map(({ type }) => type)).size === loss.length,
};
const isSmoothed: Is = not(equals('labelSmoothing', 0));
const alphaDivergence: Is = equals('fDivergence', 'alpha_divergence');

const names = (types: readonly string[]): string => types.join(', ');

/** Combinations of losses and settings that have no meaning. */
export const lossRules: readonly Rule<LossFields>[] = [
  { ...eachOnce, field: 'loss', message: 'loss: each type may stand once; give it the sum of the weights' },
  {
    // Not the field's own bound: where a value is a whole number the API server cuts the bound to one, and 0 < 0 is false.
    cel: 'self.labelSmoothing < 0.5',
    holds: ({ labelSmoothing }) => labelSmoothing < 0.5,
    field: 'labelSmoothing',
    message: 'labelSmoothing must be below 0.5: from there on the preferences say nothing, or the opposite',
  },
  {
    ...implies(some('exo_pair'), isSmoothed),
    field: 'labelSmoothing',
    message: 'labelSmoothing must be above 0 for exo_pair, whose target has its logarithm: the paper recommends 0.001',
  },
  {
    ...implies(isSmoothed, some(...smoothed)),
    field: 'labelSmoothing',
    message: `labelSmoothing is read by ${names(smoothed)} only: for sigmoid with label smoothing choose the loss cdpo`,
  },
  {
    ...implies(not(equals('fDivergence', 'reverse_kl')), all(...scored, 'sft')),
    field: 'fDivergence',
    message: `fDivergence is defined for ${names(scored)} (and sft beside them) only`,
  },
  {
    ...implies(not(equals('fDivergence', 'reverse_kl')), not(all('sft'))),
    field: 'fDivergence',
    message: 'fDivergence changes nothing where sft is the only loss: leave it out',
  },
  {
    ...implies(not(equals('fAlphaDivergenceCoef', 0.5)), alphaDivergence),
    field: 'fAlphaDivergenceCoef',
    message: 'fAlphaDivergenceCoef is read with fDivergence alpha_divergence only',
  },
  {
    ...implies(given('ldAlpha'), not(some(...withoutReference))),
    field: 'ldAlpha',
    message: `ldAlpha is defined for losses against a reference: not for ${names(withoutReference)}`,
  },
  {
    ...implies(given('ldAlpha'), not(all('sft'))),
    field: 'ldAlpha',
    message: 'ldAlpha changes nothing where sft is the only loss: leave it out',
  },
  {
    ...implies(equals('useWeighting', true), not(some(...sorted))),
    field: 'useWeighting',
    message: `useWeighting weighs pairs, and ${names(sorted)} take pairs apart to sort them: choose one of the two`,
  },
  {
    ...implies(equals('useWeighting', true), not(all('sft'))),
    field: 'useWeighting',
    message: 'useWeighting weighs preference terms and changes nothing where sft is the only loss: leave it out',
  },
  {
    ...implies(some(...withoutReference), onePreferenceTerm),
    field: 'loss',
    message: `loss: ${names(withoutReference)} have no reference, so that their margins cannot be added to another preference loss's; only sft may stand beside one of them`,
  },
  {
    ...implies(not(equals('discopopTau', 0.05)), some('discopop')),
    field: 'discopopTau',
    message: 'discopopTau is read by the loss discopop only',
  },
  {
    ...implies(not(equals('simpoGamma', 0.5)), some('simpo')),
    field: 'simpoGamma',
    message: 'simpoGamma is read by the loss simpo only',
  },
  {
    ...implies(not(equals('cpoAlpha', 1)), some('cpo')),
    field: 'cpoAlpha',
    message: 'cpoAlpha is read by the loss cpo only',
  },
];

/** Whether any term measures the policy against a reference: only then its log-probabilities are computed. */
export function needsReference({ loss }: Pick<LossFields, 'loss'>): boolean {
  return loss.some(({ type }) => !referenceFree.includes(type));
}
