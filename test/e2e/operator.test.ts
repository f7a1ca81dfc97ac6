import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import type { DPOJob } from '../../crds/dpojob.ts';
import { environment } from '../../crds/run-config.ts';
import { dashboard } from '../../charts/monitoring/dashboard.ts';
import { prepareExamples } from '../../examples/prepare.ts';
import { archiveOf, imageName } from '../../scripts/images.ts';
import { applyMonitoringCrds, ask, startPrometheus, type Sample } from '../cluster/prometheus.ts';
import { startCluster, type Cluster } from '../cluster/real-node.ts';

/** The whole way on a real node: images from our Dockerfile, the chart by helm, jobs by kubectl, the trainer in pods. */
jest.setTimeout(600_000);
let cluster: Cluster;
let models = '';

const kubectl = (args: string[], input?: object): string => {
  const { code, output } = cluster.kubectl(args, input === undefined ? '' : JSON.stringify(input));
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${output}`);
  return output;
};
const stored = (name: string): DPOJob => JSON.parse(kubectl(['get', 'dpojob', name, '-o', 'json'])) as DPOJob;
const small = parse(readFileSync('test/fixtures/small-job.yaml', 'utf8')) as DPOJob;

beforeAll(async () => {
  cluster = await startCluster({ images: [archiveOf('operator'), archiveOf('trainer')] });
  models = cluster.claim('models');
  const data = cluster.claim('data');
  prepareExamples(join(models, '..'));
  execFileSync('chown', ['-R', '1000:1000', models, data]);
  applyMonitoringCrds(cluster);
  const repository = imageName('operator').replace(/:[^:]*$/, '');
  const set = [`image.repository=${repository}`, `trainer.image=${imageName('trainer')}`];
  const values = [...set, 'replicas=2', 'image.pullPolicy=Never', 'monitoring.interval=2s'].flatMap((value) => [
    '--set',
    value,
  ]);
  const where = ['--namespace', 'dpo-system', '--create-namespace', '--wait', '--timeout', '180s'];
  const { code, output } = cluster.helm(['install', 'dpo', 'charts/dpo-operator', ...where, ...values]);
  const pods = code === 0 ? '' : cluster.kubectl(['describe', 'pods', '-n', 'dpo-system']).output;
  if (code !== 0) throw new Error(`helm install: ${output}\n${pods}`);
  await startPrometheus(cluster);
}, 300_000);
afterAll(() => cluster?.stop());

/** Applies the small job under a name, with an output of its own. */
function apply(name: string, changes: Partial<DPOJob['spec']> = {}): void {
  const spec = {
    ...small.spec,
    // Long enough to be still at it when the test acts.
    training: { ...small.spec.training, epochs: 4 },
    output: { source: `pvc://models/${name}` },
    pod: { imagePullPolicy: 'Never' },
    ...changes,
  };
  kubectl(['apply', '--server-side', '-f', '-'], { ...small, metadata: { name }, spec });
}

async function until(name: string, what: string, holds: (job: DPOJob) => boolean, seconds = 240): Promise<DPOJob> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const job = stored(name);
    if (holds(job)) return job;
    const failed = job.status?.state === 'Failed' && what !== 'Failed';
    if (failed || Date.now() > deadline) {
      const logs = cluster.kubectl(['logs', '-l', `training.dpo-operator.io/dpojob=${name}`, '--tail=20']).output;
      const operator = cluster.kubectl([
        'logs',
        '-n',
        'dpo-system',
        '-l',
        'app.kubernetes.io/name=dpo-operator',
      ]).output;
      throw new Error(`${name} is not ${what}: ${JSON.stringify(job.status, null, 1)}\n${logs}\n${operator}`);
    }
    await sleep(500);
  }
}
const complete = (name: string): Promise<DPOJob> =>
  until(name, 'Complete', ({ status }) => status?.state === 'Complete');
/** By the trainer's own word: status tells of progress every 10 s only. */
const inTraining = (name: string): Promise<DPOJob> =>
  until(name, 'training', () => {
    const { output } = cluster.kubectl(['logs', '-l', `training.dpo-operator.io/dpojob=${name}`, '--tail=5']);
    return /checkpoint saved at step \d+ of stage Training|"stage":"Training"/.test(output);
  });
const podOf = (name: string): string =>
  kubectl([
    'get',
    'pods',
    '-l',
    `training.dpo-operator.io/dpojob=${name}`,
    '--field-selector=status.phase=Running',
    '-o',
    'name',
  ]).trim();
const weights = (name: string): string =>
  createHash('sha256')
    .update(readFileSync(join(models, name, 'model.safetensors')))
    .digest('hex');

/** Asks Prometheus until it has an answer: its next scrape may be seconds away. */
async function answered(expression: string): Promise<Sample[]> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const samples = ask(cluster, expression);
    if (samples.length > 0) return samples;
    if (Date.now() > deadline) throw new Error(`Prometheus has nothing for ${expression}`);
    await sleep(500);
  }
}
interface Panel {
  targets?: { expr: string }[];
  panels?: Panel[];
}
const queries = (): { expr: string }[] =>
  ((dashboard().panels ?? []) as unknown as Panel[])
    .flatMap((one) => [one, ...(one.panels ?? [])])
    .flatMap(({ targets = [] }) => targets);

describe('an applied DPOJob', () => {
  test('trains in a pod to Complete; status, log and metrics say the same', async () => {
    apply('undisturbed');
    const { status } = await complete('undisturbed');
    expect(status?.metrics).toMatchObject({ beta: 0.1, loss: expect.any(Number), rewardMargin: expect.any(Number) });
    expect(status?.restarts ?? 0).toBe(0);
    expect(status?.output?.digest).toBe(`sha256:${weights('undisturbed')}`);
    const columns = kubectl(['get', 'dpoj', 'undisturbed']);
    expect(columns).toMatch(/STATE +STEP +LOSS +MARGIN +ACCURACY/);
  });

  test('stands in Prometheus with loss, beta and margin: the same figures as in status and in the trainer’s own log', async () => {
    const { status } = stored('undisturbed');
    const last = kubectl(['logs', 'job/undisturbed-1'])
      .split('\n')
      .filter((line) => line.includes('"loss"'))
      .map((line) => JSON.parse(line) as Record<string, number>)
      .at(-1);
    for (const [metric, figure] of [
      ['loss', 'loss'],
      ['beta', 'beta'],
      ['reward_margin', 'rewardMargin'],
    ] as const) {
      // A scrape from before the end may come first.
      const expected = status?.metrics?.[figure];
      const [sample] = await answered(`dpo_job_${metric}{dpojob="undisturbed"} == ${expected}`);
      expect(sample?.metric['namespace']).toBe('default');
      if (figure !== 'beta') expect(last?.[figure]).toBeCloseTo(sample?.value ?? Number.NaN, 5);
    }
    // The trainer's own series, scraped from its pod while it ran.
    const [scraped] = await answered('count_over_time(dpo_train_loss{dpojob="undisturbed"}[30m])');
    expect(scraped?.value).toBeGreaterThan(1);
  });

  test('fills every panel of the dashboard', async () => {
    const empty: string[] = [];
    for (const { expr } of queries()) {
      const filled = expr.replaceAll('$namespace', 'default').replaceAll('$dpojob', 'undisturbed');
      if (ask(cluster, filled).length === 0) empty.push(filled);
    }
    expect(empty).toEqual([]);
  });

  test('keeps its figures when it is Complete and the leader is killed', async () => {
    const before = (await answered('dpo_job_loss{dpojob="undisturbed"}'))[0]?.value;
    const holder = (): string =>
      kubectl(['get', 'lease', 'dpo-operator', '-n', 'dpo-system', '-o', 'jsonpath={.spec.holderIdentity}']);
    const first = holder();
    const [pod = ''] = first.split('_');
    kubectl(['delete', 'pod', pod, '-n', 'dpo-system', '--grace-period=0', '--force']);
    const deadline = Date.now() + 60_000;
    while (holder() === first || holder() === '') {
      if (Date.now() > deadline) throw new Error('nobody took over');
      await sleep(500);
    }
    const [next = ''] = holder().split('_');
    const [after] = await answered(`dpo_job_loss{dpojob="undisturbed",pod="${next}"}`);
    expect(after?.value).toBe(before);
  });

  test('whose pod is deleted in mid-training, and whose trainer is killed in another, ends with the same weights bit for bit', async () => {
    apply('deleted');
    await inTraining('deleted');
    kubectl(['delete', podOf('deleted'), '--wait=false']);
    const deleted = await complete('deleted');
    expect(deleted.status?.restarts).toBe(1);
    expect(weights('deleted')).toBe(weights('undisturbed'));

    apply('killed');
    await inTraining('killed');
    // The container's first process, seen from the node: SIGKILL from inside the container would not reach it.
    expect(cluster.run(['pkill', '-KILL', '-f', 'trainer-image/main.ts --run-config']).code).toBe(0);
    const killed = await complete('killed');
    expect(killed.status?.lastFailure).toMatchObject({ exitCode: 137 });
    expect(weights('killed')).toBe(weights('undisturbed'));
  });

  test('whose node is drained saves and waits, and ends with the same weights once the node is back; no restart is counted against it', async () => {
    apply('drained');
    await inTraining('drained');
    kubectl([
      'drain',
      'node1',
      '--pod-selector=training.dpo-operator.io/dpojob=drained',
      '--delete-emptydir-data',
      '--timeout=120s',
    ]);
    const unschedulable = ({ status }: DPOJob): boolean => status?.reason === 'Unschedulable';
    const { status } = await until('drained', 'waiting for a node', unschedulable, 60);
    expect(status?.lastFailure?.reason).toBe('EvictionByEvictionAPI');
    kubectl(['uncordon', 'node1']);
    const drained = await complete('drained');
    expect(drained.status?.restartsWithoutProgress ?? 0).toBe(0);
    expect(weights('drained')).toBe(weights('undisturbed'));
  });

  test('of gpu.yaml is Pending where no node has a GPU, and trains once one has it', async () => {
    const gpu = parse(readFileSync('crds/examples/gpu.yaml', 'utf8')) as DPOJob;
    apply('gpu', {
      ...gpu.spec,
      // The example's model, data and memory are a large cluster's; what it says of the GPU is put to the test.
      model: small.spec.model,
      dataset: small.spec.dataset,
      training: small.spec.training,
      resources: {},
      output: { source: 'pvc://models/gpu', format: 'model' },
      pod: {
        ...gpu.spec.pod,
        imagePullPolicy: 'Never',
        image: imageName('trainer'),
        env: [{ name: environment.accelerator, value: 'true' }],
      } as DPOJob['spec']['pod'],
    });
    const unschedulable = (job: DPOJob): boolean =>
      job.status?.conditions?.some(({ reason }) => reason === 'Unschedulable') ?? false;
    const { status } = await until('gpu', 'unschedulable', unschedulable, 60);
    expect(status?.state).toBe('Pending');
    kubectl(['label', 'node', 'node1', 'nvidia.com/gpu.present=true']);
    const lacksGpu = (job: DPOJob): boolean =>
      job.status?.conditions?.some(({ message }) => message.includes('Insufficient nvidia.com/gpu')) ?? false;
    await until('gpu', 'unschedulable for want of a GPU', lacksGpu, 60);
    cluster.fakeGpus(1);
    await complete('gpu');
    kubectl(['delete', 'dpojob', 'gpu']);
  });
});
