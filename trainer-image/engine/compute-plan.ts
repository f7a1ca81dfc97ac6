import { z } from 'zod';
import { kernelSets } from './kernel-sets.ts';

/**
 * What the last bits of a result depend on besides the job: on a CPU two runs on the same plan end with the same weights bit
 * for bit, others numerically close. So are all on a GPU that is not deterministic: it adds up gathered rows in no fixed
 * order. It is stored with the run; what can be chosen is read back when the run goes on.
 */
export const computePlanSchema = z.object({
  tensorflow: z.string(),
  device: z.enum(['CPU', 'GPU']),
  /** Extensions of the processor by which TensorFlow and oneDNN choose their kernels. */
  instructionSet: z.string(),
  threads: z.int().min(1),
  oneDNN: z.boolean(),
  /** Whether a GPU may multiply float32 with mantissas of 10 bits. */
  tensorFloat32: z.boolean(),
  /** Whether TensorFlow is held to operations that give the same bits each time. */
  deterministic: z.boolean(),
  /** What matrix products multiply: model/products.ts. */
  precision: z.enum(['fp32', 'bf16']),
  /** Micro-batches at their exact lengths, or padded to a few: sums of more terms are rounded in another way. */
  lengths: z.enum(['exact', 'rounded']),
  /** Blocks recorded into TensorFlow functions, or run operation by operation: TensorFlow rewrites what is recorded. */
  mode: z.enum(['recorded', 'eager']),
  /** Kernels of our own (native/kernels) by the instruction set they are compiled for. */
  kernels: z.enum(kernelSets),
});
export type ComputePlan = z.infer<typeof computePlanSchema>;

/**
 * A block is recorded once for each layout of a micro-batch, which seldom comes again, and called once for each layer: with
 * few layers recording costs more than it saves (docs/decisions/0002-compiled-steps.md has the figures). Rounded lengths repeat.
 */
export const chooseMode = (layers: number, lengths: ComputePlan['lengths']): ComputePlan['mode'] =>
  lengths === 'exact' && layers < 8 ? 'eager' : 'recorded';

/** A GPU is done with a micro-batch before its functions could be recorded: there shapes have to repeat. */
export const chooseLengths = (device: ComputePlan['device']): ComputePlan['lengths'] =>
  device === 'GPU' ? 'rounded' : 'exact';

/** `auto` is bf16 on a GPU, whose matrix units are made for it, and fp32 on a CPU. */
export const precisionOf = (asked: ComputePlan['precision'] | 'auto', gpu: boolean): ComputePlan['precision'] =>
  asked === 'auto' ? (gpu ? 'bf16' : 'fp32') : asked;

const extensions = 'avx avx2 fma avx512f avx512_vnni avx512_bf16 amx_tile amx_bf16 asimd sve bf16'.split(' ');

/** What the processor can, from the text of /proc/cpuinfo. */
export const processorFlags = (cpuInfo: string): ReadonlySet<string> =>
  new Set((/^(?:flags|Features)\s*:(.*)$/m.exec(cpuInfo)?.[1] ?? '').trim().split(/\s+/));

/** The extensions among them by which kernels are chosen. */
export function instructionSet(flags: ReadonlySet<string>): string {
  return extensions.filter((extension) => flags.has(extension)).join(' ') || 'baseline';
}

/** What differs between two plans, for people: "threads 4, before 2". */
export function planChanges(before: ComputePlan, now: ComputePlan): string[] {
  const keys = Object.keys(now) as (keyof ComputePlan)[];
  return keys.filter((key) => before[key] !== now[key]).map((key) => `${key} ${now[key]}, before ${before[key]}`);
}
