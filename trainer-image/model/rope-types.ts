import { z } from 'zod';
import { positive, refusal, size } from './config.ts';
import type { Rope } from './rope.ts';

/** What every form of rotary embedding starts from. */
export interface Base {
  theta: number;
  /** Dimensions of a head that turn. */
  dimensions: number;
  maxPositions: number | undefined;
  /** Positions the model was trained on before it was stretched. */
  originalPositions: number | undefined;
}

const f32 = Math.fround;
/** What the settings of any rope type may have. */
export const common = {
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
};

/** theta^(2i/d) for each pair i of d dimensions (Su et al. 2021, eq. 15), rounded as torch rounds it. */
function powers(theta: number, dimensions: number): number[] {
  return Array.from({ length: dimensions / 2 }, (_, i) => f32(theta ** f32((2 * i) / dimensions)));
}
const inverse = (values: readonly number[]): number[] => values.map((value) => f32(1 / value));
const plain = ({ theta, dimensions }: Base): number[] => inverse(powers(theta, dimensions));
const always = (frequencies: readonly number[], attention = 1): Rope => {
  const found = { frequencies, attention };
  return () => found;
};

function needed(value: number | undefined, name: string): number {
  if (value === undefined) throw refusal(`the rope type needs ${name}`);
  return value;
}

/** Throws InvalidConfiguration that names what is wrong with the settings. */
export function checked<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (!parsed.success) throw refusal(`rope_parameters (or rope_scaling): ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** A form of rotary embedding: which settings it has, all others being refused, and what they mean. */
function form<T extends z.ZodRawShape>(shape: T, make: (settings: z.output<z.ZodObject<T>>, base: Base) => Rope) {
  const schema = z.strictObject({ ...common, ...shape });
  return (raw: unknown, base: Base): Rope => make(checked(schema, raw) as z.output<z.ZodObject<T>>, base);
}

/** NTK-aware interpolation by parts (Peng et al. 2023, "YaRN", sec. 3.2 and eq. 22). */
const yarn = form(
  {
    factor: positive,
    original_max_position_embeddings: size.nullish(),
    attention_factor: positive.nullish(),
    beta_fast: positive.nullish(),
    beta_slow: positive.nullish(),
    mscale: z.number().nullish(),
    mscale_all_dim: z.number().nullish(),
    truncate: z.boolean().default(true),
  },
  (s, { theta, dimensions, ...base }) => {
    const original = s.original_max_position_embeddings ?? needed(base.maxPositions, 'max_position_embeddings');
    const sharpness = (by: number): number => (s.factor <= 1 ? 1 : 0.1 * by * Math.log(s.factor) + 1);
    const scaled = s.mscale && s.mscale_all_dim ? sharpness(s.mscale) / sharpness(s.mscale_all_dim) : sharpness(1);
    const dimensionOf = (rotations: number): number =>
      (dimensions * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
    const [from, to] = [dimensionOf(s.beta_fast || 32), dimensionOf(s.beta_slow || 1)];
    const low = Math.max(s.truncate ? Math.floor(from) : from, 0);
    const end = Math.min(s.truncate ? Math.ceil(to) : to, dimensions - 1);
    const high = low === end ? end + 0.001 : end;
    const frequencies = powers(theta, dimensions).map((power, i) => {
      const kept = f32(1 - Math.min(1, Math.max(0, f32(f32(i - low) / f32(high - low)))));
      return f32(f32(f32(1 / f32(s.factor * power)) * f32(1 - kept)) + f32(f32(1 / power) * kept));
    });
    return always(frequencies, s.attention_factor ?? scaled);
  },
);

/** Frequencies divided by searched factors, one set for short and one for long sequences (Ding et al. 2024, "LongRoPE"). */
const longrope = form(
  {
    short_factor: z.array(positive),
    long_factor: z.array(positive),
    factor: positive.nullish(),
    original_max_position_embeddings: size.nullish(),
    attention_factor: positive.nullish(),
  },
  (s, { theta, dimensions, ...base }) => {
    const longest = needed(base.maxPositions, 'max_position_embeddings');
    const original = base.originalPositions ?? s.original_max_position_embeddings ?? longest;
    const factor = s.factor ?? longest / original;
    const attention = s.attention_factor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
    const scaled = (name: 'short_factor' | 'long_factor'): number[] => {
      if (s[name].length !== dimensions / 2) {
        throw refusal(`${name} has ${s[name].length} numbers; ${dimensions} turned dimensions need ${dimensions / 2}`);
      }
      return inverse(powers(theta, dimensions).map((power, i) => f32(f32(s[name][i] as number) * power)));
    };
    const [short, long] = [scaled('short_factor'), scaled('long_factor')];
    return (length) => ({ frequencies: length > original ? long : short, attention });
  },
);

/** Long waves are stretched, short ones kept, those between blended (Llama 3.1's model card and reference code). */
const llama3 = form(
  {
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: size.nullish(),
  },
  (s, base) => {
    const original = s.original_max_position_embeddings ?? needed(base.maxPositions, 'max_position_embeddings');
    const frequencies = plain(base).map((frequency) => {
      const wave = f32((2 * Math.PI) / frequency);
      if (wave > original / s.low_freq_factor) return f32(frequency / s.factor);
      if (wave < original / s.high_freq_factor) return frequency;
      const smooth = f32(f32(f32(original / wave) - s.low_freq_factor) / f32(s.high_freq_factor - s.low_freq_factor));
      return f32(f32(f32(f32(1 - smooth) * frequency) / s.factor) + f32(smooth * frequency));
    });
    return always(frequencies);
  },
);

/** Positions divided by the factor (Chen et al. 2023, eq. 3). */
const linear = form({ factor: positive }, ({ factor }, base) =>
  always(plain(base).map((frequency) => f32(frequency / factor))),
);

/** The base grows with sequences longer than max_position_embeddings (Peng et al. 2023, app. B.1, "Dynamic NTK"). */
const dynamic = form({ factor: positive }, ({ factor }, base) => {
  const longest = needed(base.maxPositions, 'max_position_embeddings');
  const exponent = base.dimensions / (base.dimensions - 2);
  return (length) => {
    const stretch = f32(f32(f32(f32(factor * length) / longest) - (factor - 1)) ** exponent);
    const theta = length > longest ? f32(base.theta * stretch) : base.theta;
    return { frequencies: plain({ ...base, theta }), attention: 1 };
  };
});

/** The forms of rotary embedding, by `rope_type`, as transformers' modeling_rope_utils computes them. */
export const ropeTypes = {
  default: form({}, (_, base) => always(plain(base))),
  linear,
  dynamic,
  yarn,
  longrope,
  llama3,
} satisfies Record<string, (raw: unknown, base: Base) => Rope>;
