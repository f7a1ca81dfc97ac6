import { readFileSync, readSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { ProgressPart, Reporter } from '../../trainer-image/stages/context.ts';
import { readJobFile, resolveRun } from '../../trainer-image/config.ts';
import type { StepFigures } from './side.ts';

/**
 * The trainer's own run in a process that takes a step when it is told to: `train` with a reporter that, after each step of the
 * preference stage, writes a line and waits for one. With `--epoch` it does not wait, and ends after the last evaluation.
 */
const { values } = parseArgs({
  options: {
    file: { type: 'string', default: '' },
    volumes: { type: 'string', default: '' },
    epoch: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
  },
});
const profiler = values.profile ? await import('./profiler.ts') : undefined;
// After the profiler: it stands between the engine and its binding.
const { train } = await import('../../trainer-image/train.ts');
const { matmulRate } = await import('../../trainer-image/engine/native/report.ts');

const tell = (event: Record<string, unknown>): void => console.log(JSON.stringify(event));
const seconds = (): number => performance.now() / 1000;
const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const peakMiB = (): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN) / 1024;

/** Since when the present step is under way. */
let mark = { seconds: seconds(), cpu: cpuSeconds() };
const restart = (): void => void (mark = { seconds: seconds(), cpu: cpuSeconds() });
let reference: { begun: number; seconds: number } | undefined;
/** Of this process up to its first step's end, without waiting. */
let waited = 0;
let ready = false;

function wait(): void {
  if (values.epoch) return;
  const before = seconds();
  // Nothing more will come when the benchmark itself is gone.
  if (readSync(0, Buffer.alloc(1)) === 0) process.exit(1);
  waited += seconds() - before;
}

function stepTaken({ step = 0, metrics }: ProgressPart): void {
  const figures = { seconds: seconds() - mark.seconds, cpuSeconds: cpuSeconds() - mark.cpu };
  const first = step === 1 ? { firstStepSeconds: seconds() - waited - (reference?.seconds ?? 0) } : {};
  const { loss = NaN, gradNorm = NaN } = metrics ?? {};
  const memory = peakMiB();
  const matmul = profiler === undefined ? { matmul: matmulRate() } : {};
  tell({ event: 'step', step, loss, gradNorm, ...figures, ...first, peakMiB: memory, ...matmul } satisfies StepFigures);
  profiler?.stepTaken(step);
  wait();
  restart();
}

function referencePart({ stageStep = 0, stageTotal = 0 }: ProgressPart): void {
  // What the pass tells after its last part would count the wait for the first turn as its own.
  if (ready) return;
  reference ??= { begun: seconds(), seconds: 0 };
  reference.seconds = seconds() - reference.begun;
  if (stageTotal === 0 || stageStep < stageTotal) return;
  ready = true;
  tell({ event: 'ready', referenceSeconds: reference.seconds });
  wait();
}

function evaluated({ step = 0, totalSteps, metrics }: ProgressPart): void {
  if (step !== totalSteps) return;
  tell({ event: 'end', heldOutLoss: metrics?.evalLoss ?? NaN });
  process.exit(0);
}

const report: Reporter = {
  beat: (part = {}) => {
    if (part.stage === 'Training') {
      if (part.metrics !== undefined) stepTaken(part);
      return;
    }
    if (part.stage === 'Reference') referencePart(part);
    if (part.stage === 'Evaluating' && part.metrics !== undefined) evaluated(part);
    restart();
  },
  heed: () => {},
  observe: () => {},
  warn: (reason, message) => console.error(`${reason}: ${message}`),
  info: (message) => console.error(message),
};

await train(resolveRun(readJobFile(values.file), values.volumes), 'bench', report);
