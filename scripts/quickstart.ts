import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DPOJob } from '../crds/dpojob.ts';
import type { Metrics } from '../crds/progress.ts';
import { kubeallPath } from '../test/cluster/install.ts';
import { ask } from '../test/cluster/prometheus.ts';
import {
  findState,
  forgetState,
  kubectlScript,
  logFile,
  queryScript,
  type QuickstartState,
} from './quickstart-state.ts';

/**
 * `npm run quickstart`: from a fresh Debian 12 to a trained model. Builds what the machine lacks, brings a real cluster of
 * one node up, installs the chart, applies the example, and shows how it goes. `-- --down` removes the cluster.
 */
const example = 'crds/examples/quickstart.yaml';
const name = 'quickstart';
const say = (message: string): void => console.log(message);

function checkMachine(): void {
  if (process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/etc/debian_version')) return;
  say('quickstart brings up containers and a network of its own: it needs Debian Linux and root.');
  say('Without them, the trainer runs alone:\n');
  say(`  npm run engine && npm run train -- -f ${example}`);
  process.exit(1);
}

function setUp(): void {
  const first = !existsSync(kubeallPath());
  say(
    first
      ? '1/4 Building what this machine lacks: about 15 minutes on two cores, once.'
      : '1/4 Looking for what is built.',
  );
  const started = performance.now();
  const args = ['--disable-warning=ExperimentalWarning', 'scripts/setup.ts', 'quickstart'];
  if (spawnSync(process.execPath, args, { stdio: 'inherit' }).status !== 0) process.exit(1);
  say(`    done in ${Math.round((performance.now() - started) / 1000)} s`);
}

async function bringUp(): Promise<QuickstartState> {
  const running = findState();
  if (running !== undefined) {
    say('2/4 The cluster is up already.');
    return running;
  }
  say('2/4 Bringing the cluster up: about a minute.');
  mkdirSync(dirname(logFile), { recursive: true });
  rmSync(logFile, { force: true });
  forgetState();
  const log = openSync(logFile, 'a');
  const args = ['--disable-warning=ExperimentalWarning', 'scripts/quickstart-cluster.ts'];
  const holder = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log] });
  let told = 0;
  for (;;) {
    const lines = readFileSync(logFile, 'utf8').split('\n');
    for (const line of lines.slice(told, -1)) say(`    ${line}`);
    told = lines.length - 1;
    const state = findState();
    if (state !== undefined) {
      holder.unref();
      return state;
    }
    if (holder.exitCode !== null) {
      say(`the cluster did not come up: see ${logFile}`);
      process.exit(1);
    }
    await sleep(500);
  }
}

interface Commands {
  run: (command: readonly string[]) => { code: number; output: string };
  kubectl: (...args: string[]) => string;
}

function commandsOf({ enter, kubeconfig }: QuickstartState): Commands {
  const run: Commands['run'] = (command) => {
    const [program = '', ...args] = [...enter, ...command];
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
    return { code: status ?? 1, output: stdout + stderr };
  };
  const kubectl: Commands['kubectl'] = (...args) => {
    const { code, output } = run([kubeallPath(), 'kubectl', `--kubeconfig=${kubeconfig}`, ...args]);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${output}`);
    return output;
  };
  return { run, kubectl };
}

const cell = (value: number | string | undefined, width: number): string =>
  (typeof value === 'number' ? String(Number(value.toPrecision(4))) : (value ?? '')).padEnd(width);

function rowOf({ status = {} }: DPOJob): string {
  const { state, progress, metrics } = status;
  const step = progress === undefined ? '' : `${progress.step}/${progress.totalSteps}`;
  const stage = state === 'Running' ? (progress?.stage ?? '') : '';
  const figures = [metrics?.loss, metrics?.rewardMargin, metrics?.rewardAccuracy].map((one) => cell(one, 10));
  return `    ${cell(state, 12)}${cell(stage, 12)}${cell(step, 10)}${figures.join('')}`;
}

/** Shows a line for each change until the job has ended. */
async function follow({ kubectl }: Commands): Promise<DPOJob> {
  say(
    `    ${['State', 'Stage'].map((one) => cell(one, 12)).join('')}${['Step', 'Loss', 'Margin', 'Accuracy'].map((one) => cell(one, 10)).join('')}`,
  );
  let last = '';
  for (;;) {
    const job = JSON.parse(kubectl('get', 'dpojob', name, '-o', 'json')) as DPOJob;
    const row = rowOf(job);
    if (row !== last) say(row);
    last = row;
    if (job.status?.state === 'Complete' || job.status?.state === 'Failed') return job;
    await sleep(2000);
  }
}

/** Asks until Prometheus has scraped the figure that status ends with. */
async function askUntil(run: Commands['run'], expression: string, figure: number): Promise<boolean> {
  for (let i = 0; i < 30; i++) {
    if (ask({ run }, expression).some(({ value }) => value === figure)) return true;
    await sleep(1000);
  }
  return false;
}

function tellMore({ models }: QuickstartState): void {
  say(`
How to look further:
  alias k=${kubectlScript}
  k get dpojobs
  k describe dpojob ${name}
  k logs job/${name}-1
  ${queryScript} 'dpo_job_reward_margin'     (asks Prometheus; the pod's own dpo_train_* end with it)
The trained model, with report.html to open in a browser, is in ${join(models, 'starter-dpo')}.
No Grafana runs here: import charts/dpo-operator/files/dashboard.json into one.
Remove the cluster:  npm run quickstart -- --down`);
}

async function up(): Promise<void> {
  checkMachine();
  setUp();
  const state = await bringUp();
  const commands = commandsOf(state);
  say(`    kubectl of this cluster, for another terminal: ${kubectlScript}`);
  say(`3/4 Applying ${example}: about three minutes on two cores.`);
  commands.kubectl('delete', 'dpojob', name, '--ignore-not-found', '--cascade=foreground');
  commands.kubectl('apply', '--server-side', '-f', example);
  const job = await follow(commands);
  const answered = await tellFigures(commands, job.status?.metrics ?? {});
  say(`\n${commands.kubectl('get', 'dpojob', name)}`);
  tellMore(state);
  process.exitCode = job.status?.state === 'Complete' && answered ? 0 : 1;
}

/** Prints the three answers of Prometheus; whether it has them all. */
async function tellFigures({ run }: Commands, { loss, beta, rewardMargin }: Metrics): Promise<boolean> {
  say('4/4 What stands in Prometheus:');
  let all = true;
  for (const [metric, figure] of Object.entries({ loss, beta, reward_margin: rewardMargin })) {
    const expression = `dpo_job_${metric}{dpojob="${name}"}`;
    const found = figure !== undefined && (await askUntil(run, expression, figure));
    say(`    ${expression} = ${found ? figure : 'no answer within 30 s'}`);
    all &&= found;
  }
  return all;
}

async function down(): Promise<void> {
  const state = findState();
  if (state === undefined) {
    say('There is no cluster of quickstart.');
    return;
  }
  process.kill(state.pid, 'SIGTERM');
  while (existsSync(`/proc/${state.pid}`)) await sleep(100);
  forgetState();
  say('The cluster is gone, and its claims. Debian packages stay, and what was built: ~/.cache/dpo-operator.');
}

await (process.argv.includes('--down') ? down() : up());
