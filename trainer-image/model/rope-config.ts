import { z } from 'zod';
import { ignored, positive, refusal, size, type RawConfig } from './config.ts';
import type { Rope } from './rope.ts';
import { checked, common, ropeTypes, type Base } from './rope-types.ts';

/** What any rope settings may have: read before their type is known. */
const heading = z.looseObject(common);

/** What an architecture knows of its rotation besides config.json's own settings of it. */
interface RopeDefaults {
  headSize: number;
  /** `rope_theta` where config.json has none. */
  theta: number;
  /** Whether `partial_rotary_factor` is heard. */
  partial?: boolean;
  /** Other names of rope types. */
  aliases?: Record<string, keyof typeof ropeTypes>;
  /** `original_max_position_embeddings` where the model has it beside its rope settings; it holds over the one in them. */
  originalPositions?: number;
}

function baseOf(given: z.output<typeof heading>, raw: RawConfig, defaults: RopeDefaults): Base {
  const share = given.partial_rotary_factor ?? Number(raw['partial_rotary_factor'] ?? 1);
  if (share !== 1 && defaults.partial !== true) throw refusal(`partial_rotary_factor ${share} is not supported here`);
  const dimensions = Math.trunc(defaults.headSize * share);
  if (dimensions % 2 !== 0) throw refusal(`a head turns ${dimensions} dimensions, which must be even`);
  return {
    theta: given.rope_theta ?? Number(raw['rope_theta'] ?? defaults.theta),
    dimensions,
    maxPositions: size.optional().parse(raw['max_position_embeddings']),
    originalPositions: defaults.originalPositions,
  };
}

/**
 * The rotation that `settings` (an entry of config.json) describes, with what config.json says beside it. Throws
 * InvalidConfiguration for a type or a setting that is not known.
 */
export function ropeFrom(settings: unknown, raw: RawConfig, defaults: RopeDefaults): Rope {
  const given = checked(heading, settings ?? {});
  const own = given.rope_type ?? given.type ?? 'default';
  const type = defaults.aliases?.[own] ?? own;
  const make = Object.hasOwn(ropeTypes, type) ? ropeTypes[type as keyof typeof ropeTypes] : undefined;
  if (make === undefined) {
    throw refusal(`rope type "${own}" is not supported; known: ${Object.keys(ropeTypes).join(', ')}`);
  }
  return make(given, baseOf(given, raw, defaults));
}

/** The rotation of a model that has one, from `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5). */
export function ropeOf(raw: RawConfig, defaults: RopeDefaults): Rope {
  return ropeFrom(raw['rope_scaling'] ?? raw['rope_parameters'], raw, defaults);
}

/** The settings read here, for an architecture's list of what it knows. */
export const ropeSettings = {
  rope_parameters: ignored,
  rope_scaling: ignored,
  rope_theta: positive.optional(),
  max_position_embeddings: size.optional(),
};
