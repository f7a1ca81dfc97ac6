import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { LossType } from '../../../crds/losses.ts';
import type { Training } from '../../../trainer-image/model/learner.ts';
import { goldenFolder, trainingOf } from '../golden.ts';

/** TRL's DPOConfig, as far as the losses read it. */
export interface TrlArguments {
  loss_type?: string | string[];
  loss_weights?: number[];
  beta?: number;
  label_smoothing?: number;
  f_divergence_type?: Training['fDivergence'];
  f_alpha_divergence_coef?: number;
  ld_alpha?: number;
  use_weighting?: boolean;
  discopop_tau?: number;
}

/** The same settings here. TRL takes some that a DPOJob refuses, since they change nothing: the rules are left out. */
export function trainingAs(args: TrlArguments): Training {
  const types = [args.loss_type ?? 'sigmoid'].flat() as LossType[];
  const { ldAlpha, ...standard } = trainingOf();
  return {
    ...standard,
    loss: types.map((type, i) => ({ type, weight: args.loss_weights?.[i] ?? 1 })),
    beta: args.beta ?? 0.1,
    labelSmoothing: args.label_smoothing ?? 0,
    fDivergence: args.f_divergence_type ?? 'reverse_kl',
    fAlphaDivergenceCoef: args.f_alpha_divergence_coef ?? 0.5,
    ldAlpha: args.ld_alpha ?? ldAlpha,
    useWeighting: args.use_weighting ?? false,
    discopopTau: args.discopop_tau ?? 0.05,
  };
}

/** TRL's CPOConfig or ORPOConfig, as far as the losses read it. */
export interface AloneCase {
  trainer: 'cpo' | 'orpo';
  args: { loss_type?: string; cpo_alpha?: number; beta?: number; label_smoothing?: number; simpo_gamma?: number };
}

/** Its sigmoid is `cpo` here, its simpo with cpo_alpha above 0 `simpo` and `sft` beside it. */
function aloneTerms({ trainer, args: { loss_type: type, cpo_alpha: alpha = 1 } }: AloneCase): object[] {
  if (trainer === 'orpo') return [{ type: 'orpo' }];
  if (type !== 'simpo') return [{ type: 'cpo' }];
  return [{ type: 'simpo' }, ...(alpha === 0 ? [] : [{ type: 'sft', weight: alpha }])];
}

/** The same settings here; what TRL's case leaves out has TRL's default on both sides. */
export function aloneSettings(known: AloneCase): object {
  const { beta, label_smoothing: labelSmoothing, simpo_gamma: simpoGamma, cpo_alpha: cpoAlpha } = known.args;
  const loss = aloneTerms(known);
  return { loss, beta, labelSmoothing, simpoGamma, ...(known.args.loss_type === 'simpo' ? {} : { cpoAlpha }) };
}

/** Values of each answer's own tokens: the chosen answers, then the rejected ones. */
type Rows = number[][];

export type UnitNumbers = { error: string } | { loss: number | string; rewards: [number, number]; grad: Rows };

export interface UnitCase {
  args: TrlArguments;
  sets: Record<string, UnitNumbers>;
}

/** TRL's losses with their gradients on made-up log-probabilities. Infinity and NaN are strings. */
export const unit = JSON.parse(gunzipSync(readFileSync(`${goldenFolder}/loss-unit.json.gz`)).toString()) as {
  sets: Record<string, { policy: Rows; reference: Rows; logSumSquares: Rows }>;
  cases: Record<string, UnitCase>;
};

export interface ModelCase {
  args: TrlArguments;
  loss: number;
  gradNorm: number;
  metrics: Record<string, number>;
}

const ofModel = (file: string) =>
  JSON.parse(readFileSync(`${goldenFolder}/${file}`, 'utf8')) as Record<string, ModelCase>;

/** TRL's losses on the fixed batch, from a tiny policy and its reference. */
export const lossesOf = { tiny: ofModel('losses.json'), 'tiny-gpt2': ofModel('losses-gpt2.json') };
