import { stopFlag, stopRequested, stopSignals } from './signals.ts';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { exitCodes, type ExitReason } from '../crds/exit-codes.ts';
import type { Progress } from '../crds/progress.ts';
import { environment, trainerPort } from '../crds/run-config.ts';
import { storedComputePlan } from './checkpoint/compute-plan.ts';
import { checkHolder, processHolder } from './checkpoint/holder.ts';
import { createDisplay, resultOf } from './console.ts';
import { readBetas, readJobFile, readRunConfig, resolveRun, sweepRun, type Run } from './config.ts';
import { prepareEnvironment } from './engine/environment.ts';
import { TrainerError } from './errors.ts';
import { TrainerMetrics } from './metrics/registry.ts';
import { terminationBody } from './records.ts';
import { serve } from './serve.ts';
import type { WorkerInput, WorkerMessage } from './worker.ts';

/**
 * The trainer's process: signals, HTTP and the terminal on this thread, training on another.
 *
 *   main.ts --run-config /etc/dpo/job.json --volumes /volumes      in the pod
 *   npm run train -- -f crds/examples/quickstart.yaml              by hand
 */
const usage = `usage: npm run train -- -f JOB.yaml [options]

  -f, --file JOB.yaml     a DPOJob; its pvc://claim/path is the folder or file DIR/claim/path
      --volumes DIR       folder of the claims (default .dpo/volumes)
      --port N            port of /metrics, /progress and /healthz (default ${trainerPort}, or a free one where that is taken; 0: any)
      --betas B,...       train with each beta from one start, and show which one the held-out pairs advise
      --keep              with --betas: export the model of each beta, to the output's name with -beta-B
      --eager             run operations one by one, for debugging
      --termination-log FILE  receives the latest record and the reason of the end (default in a pod: /dev/termination-log)
      --run-config FILE   in the place of --file: job.json, as the operator writes it for a pod
  -h, --help              show this

for example:

  npm run train -- -f crds/examples/quickstart.yaml
  npm run train -- -f crds/examples/quickstart.yaml --betas 0.05,0.1,0.5

It ends with one of the codes of docs/api.md; 0 is success.`;

const defaultVolumes = '.dpo/volumes';
const display = createDisplay();
/** Where Kubernetes reads a container's last words. */
const defaultTerminationLog = process.env[environment.podUID] === undefined ? undefined : '/dev/termination-log';
let terminationLog = defaultTerminationLog;

const known = {
  file: { type: 'string', short: 'f' },
  'run-config': { type: 'string' },
  volumes: { type: 'string', default: defaultVolumes },
  port: { type: 'string' },
  eager: { type: 'boolean', default: false },
  betas: { type: 'string' },
  keep: { type: 'boolean', default: false },
  'termination-log': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** The command line is wrong: told as plain text, with what it may be. */
class UsageError extends TrainerError {
  constructor(message: string, cause?: unknown) {
    super('InvalidConfiguration', message, { cause });
  }
}

function parseOptions() {
  try {
    return parseArgs({ options: known }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, error);
  }
}

function checkOptions(options: ReturnType<typeof parseOptions>) {
  if (options.file === undefined && options['run-config'] === undefined)
    throw new UsageError('-f is missing: which job?');
  return { ...options, sweep: sweepOf(options) };
}

type Options = ReturnType<typeof checkOptions>;

/** `--betas` and `--keep`, or undefined for an ordinary run. Throws InvalidConfiguration. */
function sweepOf({ betas, keep }: ReturnType<typeof parseOptions>): WorkerInput['sweep'] {
  if (betas !== undefined) return { betas: readBetas(betas), keep };
  if (keep) throw new UsageError('--keep goes with --betas');
  return undefined;
}

async function resolve(options: Options): Promise<Run> {
  const job =
    options['run-config'] === undefined ? readJobFile(options.file as string) : readRunConfig(options['run-config']);
  if (options.volumes === defaultVolumes) {
    // The examples' claims, so that `npm run train -- -f crds/examples/quickstart.yaml` works in a fresh clone.
    const { prepareExamples } = await import('../examples/prepare.ts');
    prepareExamples(options.volumes);
  }
  const own = resolveRun(job, options.volumes);
  const run = options.sweep === undefined ? own : sweepRun(own);
  // In pods the newer one takes over: the older may be on a node that is lost.
  if (process.env[environment.podUID] === undefined) checkHolder(run.paths.checkpoints);
  // A run that goes on keeps its threads: with others the last bits of its sums would differ.
  prepareEnvironment({
    threads: storedComputePlan(run.paths.checkpoints)?.threads,
    deterministic: job.spec.training.fullDeterminism,
  });
  await checkAccelerator(job.spec.accelerator.count);
  return run;
}

/** A job that asked for an accelerator never trains on CPU in silence. */
async function checkAccelerator(count: number): Promise<void> {
  const { engineIsBuilt } = await import('./engine/built.ts');
  if (!engineIsBuilt())
    throw new TrainerError('InvalidConfiguration', "the engine is not built yet: run 'npm run engine'");
  if (count === 0 || process.env[environment.accelerator] === 'true') return;
  const { usesGpu } = await import('./engine/engine.ts');
  if (usesGpu()) return;
  const message =
    'spec.accelerator asks for a GPU and TensorFlow finds none (is this the GPU image, and a driver there?); accelerator.count: 0 trains on CPU';
  throw new TrainerError('AcceleratorUnavailable', message);
}

/** Rewritten with each step and last with the reason of the end; the operator reads it when the pod is gone. */
function writeTerminationMessage(reason: string, message: string, progress: Progress | undefined): void {
  if (terminationLog === undefined) return;
  try {
    writeFileSync(terminationLog, terminationBody(reason, message, progress));
  } catch {
    // Only a convenience: the exit code says the same.
  }
}

/** Serves on the port that was asked for; by hand without one on any where the usual one is taken: by another run, say. */
async function serveAt(port: string | undefined, ...what: [TrainerMetrics, () => Progress | undefined]) {
  const usual = port ?? String(trainerPort);
  // In a pod the port is the one that the operator and Prometheus ask.
  if (port !== undefined || process.env[environment.podUID] !== undefined) return serve(Number(usual), ...what);
  return serve(trainerPort, ...what).catch((error: TrainerError) => {
    if ((error.cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    display.line('info', `port ${trainerPort} is taken, by another run perhaps: a free one is used`);
    return serve(0, ...what);
  });
}

interface End {
  reason: ExitReason;
  message: string;
  /** What was last told of the run. */
  latest?: Progress | undefined;
}

/** Runs training in its thread until it ends; it looks at the stop flag after every unit of work. */
async function runWorker(run: Run, options: Options): Promise<End> {
  const podUID = process.env[environment.podUID] ?? processHolder();
  const metrics = new TrainerMetrics({ namespace: run.job.namespace, dpojob: run.job.name });
  let latest: Progress | undefined;
  const server = await serveAt(options.port, metrics, () => latest);
  display.line('info', `metrics on port ${(server.address() as AddressInfo).port}`, { job: run.job.name });
  const input: WorkerInput = { run, podUID, eager: options.eager, sweep: options.sweep, stop: stopFlag };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: input });
  return new Promise((end) => {
    const finish = (reason: ExitReason, message: string): void => {
      writeTerminationMessage(reason, message, latest);
      server.close();
      server.closeAllConnections();
      end({ reason, message, latest });
    };
    worker.on('error', (error) => finish('InternalError', error.stack ?? error.message));
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'progress') {
        latest = message.progress;
        metrics.update(latest);
        display.progress(latest);
        writeTerminationMessage('Running', '', latest);
      } else if (message.kind === 'work') metrics.observe(message.work);
      else if (message.kind === 'sweep') display.sweep(message.sweep);
      else if (message.kind === 'end') finish(message.reason as ExitReason, message.message);
      else if (message.kind === 'warning') display.line('warn', message.message, { reason: message.reason });
      else display.line('info', message.message);
    });
  });
}

/** Ends that nothing is wrong with. */
const asAsked: ReadonlySet<ExitReason> = new Set(['Complete', 'Saved', 'Terminated']);

async function main(): Promise<number> {
  for (const signal of stopSignals) process.on(signal, () => display.line('info', `${signal}: saving and stopping`));
  let end: End;
  try {
    const given = parseOptions();
    if (given.help) {
      console.log(usage);
      return exitCodes.Complete;
    }
    const options = checkOptions(given);
    terminationLog = options['termination-log'] ?? defaultTerminationLog;
    const run = await resolve(options);
    if (await stopRequested()) throw new TrainerError('Terminated', 'stopped on request before training began');
    end = await runWorker(run, options);
    if (end.latest?.stage === 'Done') display.line('info', resultOf(end.latest, run.paths.output));
  } catch (error) {
    const reason = error instanceof TrainerError ? error.reason : 'InternalError';
    end = { reason, message: (error as Error).message };
    writeTerminationMessage(reason, end.message, undefined);
    if (error instanceof UsageError) {
      console.error(`${end.message}\n\n${usage}`);
      return exitCodes[reason];
    }
  }
  display.line(asAsked.has(end.reason) ? 'info' : 'error', end.message, { reason: end.reason });
  return exitCodes[end.reason];
}

process.exitCode = await main();
