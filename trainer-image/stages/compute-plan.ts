import { readFileSync } from 'node:fs';
import { storeComputePlan, storedComputePlan } from '../checkpoint/compute-plan.ts';
import {
  chooseLengths,
  chooseMode,
  instructionSet,
  planChanges,
  processorFlags,
  type ComputePlan,
} from '../engine/compute-plan.ts';
import {
  eager,
  paddingShare,
  recordings,
  setEager,
  setKernels,
  setRoundedShapes,
  tensorFlowVersion,
  usableFlags,
  usesGpu,
} from '../engine/engine.ts';
import { threadLimit } from '../engine/environment.ts';
import { chooseKernels } from '../engine/kernel-sets.ts';
import type { Architecture } from '../model/architecture.ts';
import type { Reporter, StageContext } from './context.ts';

function readCpuInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}

/** The plan of this process for an architecture; `before` chose for a run that goes on, `--eager` for any. */
function presentComputePlan({ config, precision }: Architecture, before: ComputePlan | undefined): ComputePlan {
  const flags = usableFlags(processorFlags(readCpuInfo()));
  const device = usesGpu() ? 'GPU' : 'CPU';
  const lengths = before?.lengths ?? chooseLengths(device);
  return {
    precision,
    lengths,
    mode: eager() ? 'eager' : (before?.mode ?? chooseMode(config.layers, lengths)),
    tensorflow: tensorFlowVersion(),
    device,
    instructionSet: instructionSet(flags),
    threads: Number(process.env['TF_NUM_INTRAOP_THREADS'] ?? threadLimit()),
    tensorFloat32: usesGpu() && process.env['NVIDIA_TF32_OVERRIDE'] !== '0',
    deterministic: !usesGpu() || process.env['TF_DETERMINISTIC_OPS'] === '1',
    oneDNN: process.env['TF_ENABLE_ONEDNN_OPTS'] !== '0',
    kernels: usesGpu() ? 'none' : chooseKernels(flags, before?.kernels),
  };
}

/** What a mode is, for people. */
const modes = { eager: 'operation by operation', recorded: 'blocks compiled' } satisfies Record<
  ComputePlan['mode'],
  string
>;

type Settled = Pick<StageContext, 'run' | 'learner' | 'fence' | 'report'>;

/** Settles how the run computes and stores it at its start; warns when a run goes on otherwise than it began. */
export function settleComputePlan({ run, learner, fence, report }: Settled): ComputePlan {
  const { checkpoints } = run.paths;
  const before = storedComputePlan(checkpoints);
  const now = presentComputePlan(learner.network.architecture, before);
  setEager(now.mode === 'eager');
  setRoundedShapes(now.lengths === 'rounded');
  setKernels(now.kernels);
  const { tensorflow, device, instructionSet: extensions, precision, threads, mode, lengths, kernels } = now;
  const how = `${precision}, ${threads} threads, own kernels ${kernels}, ${modes[mode]}, lengths ${lengths}`;
  report.info(`TensorFlow ${tensorflow} on ${device} (${extensions}), ${how}`);
  const changes = before === undefined ? [] : planChanges(before, now);
  if (before === undefined) storeComputePlan(checkpoints, now, fence);
  if (changes.length === 0) return now;
  const message = `the run goes on with ${changes.join('; ')}: it ends numerically close to an undisturbed run, not bit for bit`;
  report.warn('ComputePlanChanged', message);
  return now;
}

/** Says what share of the rows was padding, and of the time since `started` (of performance.now()) compiling, where there was any. */
export function tellRecordings(started: number, report: Reporter): void {
  const padding = paddingShare();
  if (padding > 0) report.info(`${(100 * padding).toFixed(1)} % of the rows computed were padding`);
  const { functions, milliseconds } = recordings();
  if (functions === 0) return;
  const share = ((100 * milliseconds) / (performance.now() - started)).toFixed(1);
  report.info(`compiling ${functions} functions took ${(milliseconds / 1000).toFixed(1)} s, ${share} % of the run`);
}
