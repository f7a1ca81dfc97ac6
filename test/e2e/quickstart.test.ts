import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { DPOJob } from '../../crds/dpojob.ts';
import { prepareExamples } from '../../examples/prepare.ts';
import type { QuickstartState } from '../../scripts/quickstart-state.ts';
import { kubeallPath } from '../cluster/install.ts';

/** `npm run quickstart` as a new user runs it, what the starter model has learnt by it, and `-- --down`. */
const folder = mkdtempSync(join(tmpdir(), 'quickstart-'));
// A folder of its own: a quickstart of this machine's user is left alone.
const env = { ...process.env, DPO_QUICKSTART_DIR: folder };
const minutes = 60_000;

function run(...args: string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('sh', ['scripts/node', ...args], {
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { status, said: stdout + stderr };
}

let up: ReturnType<typeof run>;
let state: QuickstartState;
let job: DPOJob;
const kubectl = (...args: string[]): string => {
  const [program, ...rest] = [...state.enter, kubeallPath(), 'kubectl', `--kubeconfig=${state.kubeconfig}`];
  return spawnSync(program as string, [...rest, ...args], { encoding: 'utf8', maxBuffer: 1 << 26 }).stdout;
};

beforeAll(() => {
  up = run('scripts/quickstart.ts');
  if (up.status !== 0) throw new Error(up.said);
  state = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as QuickstartState;
  job = JSON.parse(kubectl('get', 'dpojob', 'quickstart', '-o', 'json')) as DPOJob;
}, 20 * minutes);
afterAll(() => void run('scripts/quickstart.ts', '--down'), minutes);

test('quickstart shows the job until it is Complete, its figures in Prometheus, and how to look further', () => {
  expect(up.said).toMatch(/State +Stage +Step +Loss +Margin +Accuracy/);
  expect(up.said).toMatch(/Running +Training +\d+\/\d+ +[\d.]+ +[\d.-]+ +[\d.]+/);
  expect(up.said).toMatch(/\n +Complete /);
  for (const [metric, figure] of [
    ['dpo_job_loss', job.status?.metrics?.loss],
    ['dpo_job_beta', 0.1],
    ['dpo_job_reward_margin', job.status?.metrics?.rewardMargin],
  ] as const) {
    expect(up.said).toContain(`${metric}{dpojob="quickstart"} = ${figure}`);
  }
  expect(up.said).toContain('k describe dpojob quickstart');
});

test('its scripts are kubectl, from any folder, and a question to Prometheus', () => {
  writeFileSync(join(folder, 'misspelt.yaml'), 'apiVersion: training.dpo-operator.io/v1alpha1\nkind: DPOJobs\n');
  const script = (name: string, ...args: string[]) =>
    spawnSync(join(folder, name), args, { cwd: folder, encoding: 'utf8' });
  expect(script('kubectl', 'get', 'dpojobs').stdout).toMatch(/quickstart +Complete/);
  expect(script('kubectl', 'apply', '-f', 'misspelt.yaml').stderr).toContain('no matches for kind "DPOJobs"');
  expect(script('query', 'dpo_job_beta').stdout).toMatch(/dpojob="quickstart".* => 0.1 /);
});

describe('the starter model, taught to answer on the subject', () => {
  test('has no preference of its own after fine-tuning: at most 60 % of held-out pairs', () => {
    const log = kubectl('logs', 'job/quickstart-1');
    const share = Number(/likelier in ([\d.]+) % of held-out/.exec(log)?.[1]);
    expect(share).toBeLessThanOrEqual(60);
    expect(share).toBeGreaterThan(0);
  });

  test('prefers the chosen answer in at least 85 % of pairs on topics it never saw', () => {
    expect(job.status?.metrics?.evalRewardAccuracy).toBeGreaterThanOrEqual(0.85);
    expect(job.status?.metrics?.evalLoss).toBeLessThan(Math.LN2);
    expect(job.status?.metrics?.firstStepLoss).toBeCloseTo(Math.LN2, 4);
  });

  test(
    'stays nearer to the reference with ten times the beta, trained without a cluster',
    () => {
      const volumes = mkdtempSync(join(tmpdir(), 'starter-'));
      prepareExamples(volumes);
      const file = join(volumes, 'job.yaml');
      const spec = readFileSync('crds/examples/quickstart.yaml', 'utf8').replace('beta: 0.1', 'beta: 1.0');
      writeFileSync(file, spec);
      const near = run('trainer-image/main.ts', '-f', file, '--volumes', volumes, '--port', '0');
      expect(near.status).toBe(0);
      const last = near.said.split('\n').findLast((line) => line.includes('"stage":"Done"')) as string;
      const figures = JSON.parse(last) as Record<string, number>;
      expect(figures['beta']).toBe(1);
      expect(figures['evalKL']).toBeLessThan(job.status?.metrics?.evalKL as number);
      expect(existsSync(join(volumes, 'models', 'starter-dpo', 'model.safetensors'))).toBe(true);
    },
    30 * minutes,
  );
});

test('quickstart -- --down removes the cluster, and says so when there is none', () => {
  const { status, said } = run('scripts/quickstart.ts', '--down');
  expect([status, said]).toEqual([0, expect.stringContaining('The cluster is gone')]);
  expect(existsSync(`/proc/${state.pid}`)).toBe(false);
  expect(existsSync(state.kubeconfig)).toBe(false);
  expect(run('scripts/quickstart.ts', '--down').said).toContain('There is no cluster of quickstart');
}, 60_000);
