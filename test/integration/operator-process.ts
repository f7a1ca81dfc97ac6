import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { operatorAccount } from '../cluster/operator-account.ts';

/** A running operator: the program itself, as its image starts it. */
export interface OperatorProcess {
  /** Its log, an object a line. */
  log: Record<string, unknown>[];
  metricsPort: number;
  metrics(): Promise<string>;
  ready(): Promise<boolean>;
  leads(): Promise<boolean>;
  /** Resolves with the exit code once it has ended; null when a signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** What its image starts, with the same flags, in this folder. */
export function imageCommand(): string[] {
  const [, entrypoint = ''] =
    /^FROM \S+ AS operator\n(?:.*\n)*?ENTRYPOINT (.+)$/m.exec(readFileSync('Dockerfile', 'utf8')) ?? [];
  const [, ...args] = JSON.parse(entrypoint) as string[];
  return [process.execPath, ...args.map((arg) => arg.replace('/app/', ''))];
}

/**
 * Starts an operator against a control plane, with its own ports and the rights that the chart gives it; resolves when it
 * listens. `group`: the file of a cgroup that takes it in.
 */
export async function startOperator(
  plane: ControlPlane,
  name: string,
  environment: Record<string, string> = {},
  group?: string,
): Promise<OperatorProcess> {
  const enter = group === undefined ? [] : ['sh', '-c', 'echo $$ > "$0" && exec "$@"', group];
  const [command = '', ...args] = [...enter, ...imageCommand()];
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      KUBECONFIG: operatorAccount(plane),
      TRAINER_IMAGE: 'trainer:test',
      POD_NAME: name,
      METRICS_PORT: '0',
      HEALTH_PORT: '0',
      ...environment,
    },
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const log = follow(child);
  const ports = await started(log, ended);
  const get = (port: unknown, path: string): Promise<Response> => fetch(`http://127.0.0.1:${String(port)}${path}`);
  const metrics = async (): Promise<string> => (await get(ports['metricsPort'], '/metrics')).text();
  process.once('exit', () => child.kill('SIGKILL'));
  return {
    log,
    metricsPort: Number(ports['metricsPort']),
    metrics,
    ready: async () => (await get(ports['healthPort'], '/readyz')).ok,
    leads: async () => (await metrics()).includes('leader_election_master_status{name="dpo-operator"} 1'),
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return ended;
    },
  };
}

function follow(child: ChildProcess): Record<string, unknown>[] {
  const log: Record<string, unknown>[] = [];
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => log.push(JSON.parse(line) as Record<string, unknown>));
  }
  return log;
}

async function started(log: Record<string, unknown>[], ended: Promise<unknown>): Promise<Record<string, unknown>> {
  let alive = true;
  void ended.then(() => (alive = false));
  for (;;) {
    const line = log.find(({ message }) => message === 'started');
    if (line !== undefined) return line;
    if (!alive) throw new Error(`the operator ended before it listened: ${JSON.stringify(log)}`);
    await sleep(50);
  }
}
