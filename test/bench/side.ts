import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Profile } from './calls.ts';

/** What a side tells of an optimizer step; seconds by its own clock, of the step alone. */
export interface StepFigures {
  event: 'step';
  step: number;
  loss: number;
  /** L2 norm before clipping. */
  gradNorm: number;
  seconds: number;
  /** Of all threads. */
  cpuSeconds: number;
  /** Resident memory at its highest so far. */
  peakMiB: number;
  /** Ours: from the process's start to the end of the first step, the reference pass left out. */
  firstStepSeconds?: number;
  /** Ours: rate of a matrix product, in GFLOP/s, in the same process after the step. */
  matmul?: number;
}

export type SideEvent =
  | { event: 'ready'; referenceSeconds: number }
  | StepFigures
  | ({ event: 'profile' } & Profile)
  | { event: 'end'; heldOutLoss: number };

/** Both sides get as many. OpenMP's threads spin for about a millisecond, then sleep: the side whose turn it is not rests. */
export const threads = 2;
export const threadVariables = {
  OMP_NUM_THREADS: String(threads),
  TF_NUM_INTRAOP_THREADS: String(threads),
};

/** One of both sides: a process that does its next step when a line is written to it. */
export class Side {
  private readonly child: ChildProcess;
  private readonly events: AsyncIterator<SideEvent>;
  private readonly log: string;

  /** `log`: file of what the process says besides. */
  constructor(command: readonly string[], environment: Record<string, string>, log: string) {
    const [program = '', ...args] = command;
    this.log = log;
    this.child = spawn(program, args, {
      env: { ...process.env, ...threadVariables, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stderr?.pipe(createWriteStream(log));
    this.events = this.read();
  }

  private async *read(): AsyncGenerator<SideEvent> {
    for await (const line of createInterface({ input: this.child.stdout as NodeJS.ReadableStream })) {
      if (line.startsWith('{"event"')) yield JSON.parse(line) as SideEvent;
    }
  }

  /** The next thing of this kind that it tells. Throws when it ends before. */
  async next<K extends SideEvent['event']>(kind: K): Promise<Extract<SideEvent, { event: K }>> {
    for (;;) {
      const { value, done } = await this.events.next();
      if (done === true) throw new Error(`a side of the benchmark ended before its ${kind}: see ${this.log}`);
      if (value.event === kind) return value as Extract<SideEvent, { event: K }>;
    }
  }

  /** Lets it take its next step. */
  async step(): Promise<StepFigures> {
    this.child.stdin?.write('\n');
    return this.next('step');
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}

/** The trainer, doing the job of a file. */
export function startOurs(jobFile: string, volumes: string, flags: readonly string[] = []): Side {
  const args = ['test/bench/ours.ts', '--file', jobFile, '--volumes', volumes, ...flags];
  return new Side(['sh', 'scripts/node', ...args], {}, `${jobFile}.ours.log`);
}
