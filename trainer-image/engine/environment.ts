import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** What a run asks of TensorFlow as a whole. */
export interface EngineSettings {
  /** What an earlier part of the run had. */
  threads?: number | undefined;
  /** Whether a GPU may use only operations that give the same bits each time. */
  deterministic?: boolean;
}

/**
 * TensorFlow reads these once, when its library is loaded, and only from the process's real environment: set them on the
 * main thread before a worker starts. What the user has set stays.
 */
export function prepareEnvironment({ threads = threadLimit(), deterministic = false }: EngineSettings = {}): void {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  // 25 % less time per step on CPU (docs/decisions/0002-compiled-steps.md).
  process.env['TF_ENABLE_ONEDNN_OPTS'] ??= '1';
  // From Ampere on GPUs else multiply float32 with mantissas of 10 bits (TensorFloat-32).
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] ??= 'true';
  // TensorFlow's own switch: sums of gathered rows and of a softmax's gradient in a fixed order.
  if (deterministic) process.env['TF_DETERMINISTIC_OPS'] ??= '1';
  process.env['TF_NUM_INTRAOP_THREADS'] ??= String(threads);
  process.env['TF_NUM_INTEROP_THREADS'] ??= '1';
}

/** Threads that the container may use: its cgroup quota, rounded up, where it is less than the machine's cores. */
export function threadLimit(cpuMax = readCpuMax(), cores = availableParallelism()): number {
  const [quota, period] = cpuMax.trim().split(' ').map(Number);
  if (!quota || !period) return cores;
  return Math.max(1, Math.min(cores, Math.ceil(quota / period)));
}

/** The quota as cgroup v2 writes it, "200000 100000" or "max 100000"; cgroup v1 has a file for each number. */
function readCpuMax(): string {
  const read = (file: string): string => readFileSync(`/sys/fs/cgroup/${file}`, 'utf8').trim();
  try {
    return read('cpu.max');
  } catch {
    // Not cgroup v2.
  }
  try {
    const quota = read('cpu/cpu.cfs_quota_us');
    return quota === '-1' ? 'max' : `${quota} ${read('cpu/cpu.cfs_period_us')}`;
  } catch {
    return 'max';
  }
}
