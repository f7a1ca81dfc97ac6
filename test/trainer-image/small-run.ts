import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { progressSchema, type Progress } from '../../crds/progress.ts';
import { goldenFolder } from './golden.ts';

/** Runs of the real trainer as its own process, on the tiny Llama and 48 pairs: SFT, reference, training, export. */
export const job = `
apiVersion: training.dpo-operator.io/v1alpha1
kind: DPOJob
metadata: { name: small }
spec:
  model: { source: pvc://models/tiny }
  dataset: { source: pvc://data/pairs.jsonl, holdout: 0.1 }
  sft: { batchSize: 16 }
  training: { learningRate: 1e-3, batchSize: 8, microBatchTokens: 300 }
  evaluation: { everySteps: 2, compare: { maxNewTokens: 4 } }
  checkpoint: { everySteps: 2 }
  output: { source: pvc://models/out }
  accelerator: { count: 0 }
`;

/** A folder of claims for one run, with the job's manifest. */
export function prepare(spec = job): string {
  const folder = mkdtempSync(join(tmpdir(), 'train-'));
  mkdirSync(join(folder, 'data'), { recursive: true });
  cpSync(`${goldenFolder}/tiny`, join(folder, 'models', 'tiny'), { recursive: true });
  for (const file of readdirSync(`${goldenFolder}/tokenizer`)) {
    copyFileSync(`${goldenFolder}/tokenizer/${file}`, join(folder, 'models', 'tiny', file));
  }
  const lines = readFileSync(`${goldenFolder}/train-80.jsonl`, 'utf8').split('\n').slice(0, 48);
  writeFileSync(join(folder, 'data', 'pairs.jsonl'), lines.join('\n'));
  writeFileSync(join(folder, 'job.yaml'), spec);
  return folder;
}

export interface Ended {
  code: number | null;
  signal: string | null;
  output: string;
}

/** Sees the output of a trainer grow, and may signal it. */
export type Watch = (output: string, child: ChildProcess) => void;

/** Sends the signal once, when the marker has been printed. */
export const signalAt =
  (marker: RegExp, signal: NodeJS.Signals): Watch =>
  (output, child) => {
    if (marker.test(output) && !child.killed) child.kill(signal);
  };

/** Calls back with the address, once, when the trainer serves. */
export function whenServing(callback: (address: string, child: ChildProcess) => void): Watch {
  let serving = false;
  return (output, child) => {
    const port = /metrics on port (\d+)/.exec(output)?.[1];
    if (serving || port === undefined) return;
    serving = true;
    callback(`http://127.0.0.1:${port}`, child);
  };
}

/** The trainer's own word of itself; undefined before it has any. */
export async function progressAt(address: string): Promise<Progress | undefined> {
  const answer = await fetch(`${address}/progress`);
  return answer.ok ? progressSchema.parse(await answer.json()) : undefined;
}

/** Sends the signal once, as soon as /progress names the stage. */
export const signalIn = (stage: Progress['stage'], signal: NodeJS.Signals): Watch =>
  whenServing((address, child) => {
    const ask = async (): Promise<void> => {
      while ((await progressAt(address))?.stage !== stage) await setTimeout(2);
      child.kill(signal);
    };
    // It may end without ever being there: the test sees its exit code.
    ask().catch(() => {});
  });

export interface Surroundings {
  /** Added to the environment, and to the arguments. */
  env?: Record<string, string>;
  more?: readonly string[];
  /** By default any free one. */
  port?: readonly string[];
  /** The longest file that may be written: beyond it a write fails as on a full disk. */
  fileKilobytes?: number;
}

/** Starts the trainer; `watch` sees its output grow and may signal it. */
export function trainer(
  folder: string,
  watch: Watch = () => {},
  { env = {}, more = [], port = ['--port', '0'], fileKilobytes }: Surroundings = {},
): Promise<Ended> {
  // The shell counts in blocks of 512 bytes.
  const limit = fileKilobytes === undefined ? 'unlimited' : String(2 * fileKilobytes);
  const program = ['scripts/node', 'trainer-image/main.ts', '-f', join(folder, 'job.yaml')];
  const args = [...program, '--volumes', folder, ...port, ...more];
  // A test that loads TensorFlow itself has set its threads in this process: the trainer chooses its own.
  const { TF_NUM_INTRAOP_THREADS: _, ...inherited } = process.env;
  const child = spawn('sh', ['-c', 'ulimit -f "$0" && exec sh "$@"', limit, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, ...env },
  });
  let output = '';
  const collect = (text: Buffer): void => {
    output += text.toString();
    watch(output, child);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, output })));
}

/** Where the job's checkpoints are, or would be. */
export const checkpointsOf = (folder: string): string => {
  const all = join(folder, 'models', '.dpo');
  return join(all, existsSync(all) ? (readdirSync(all)[0] ?? '') : '');
};

/** Digest of the exported weights. */
export const exported = (folder: string): string =>
  createHash('sha256')
    .update(readFileSync(join(folder, 'models', 'out', 'model.safetensors')))
    .digest('hex');
