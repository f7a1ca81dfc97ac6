import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { prepareExamples } from '../../examples/prepare.ts';

/** The example as a user runs it, `npm run train -- -f crds/examples/quickstart.yaml`, and again with ten times the beta. */
type Figures = Record<string, number>;

const quickstart = readFileSync('crds/examples/quickstart.yaml', 'utf8');

function train(volumes: string, spec: string): { output: string; last: Figures } {
  const file = join(volumes, 'job.yaml');
  writeFileSync(file, spec);
  const args = ['scripts/node', 'trainer-image/main.ts', '-f', file, '--volumes', volumes, '--port', '0'];
  const { status, stdout, stderr } = spawnSync('sh', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`the trainer ended with ${status}: ${stdout.slice(-2000)} ${stderr.slice(-2000)}`);
  const last = stdout.split('\n').findLast((line) => line.includes('"stage":"Done"')) as string;
  return { output: stdout, last: JSON.parse(last) as Figures };
}

describe('the starter model, taught to answer on the subject', () => {
  const volumes = mkdtempSync(join(tmpdir(), 'starter-'));
  let once: ReturnType<typeof train>;

  beforeAll(() => {
    prepareExamples(volumes);
    once = train(volumes, quickstart);
  }, 1_800_000);

  test('has no preference of its own after fine-tuning: at most 60 % of held-out pairs', () => {
    const share = Number(/likelier in ([\d.]+) % of held-out/.exec(once.output)?.[1]);
    expect(share).toBeLessThanOrEqual(60);
    expect(share).toBeGreaterThan(0);
  });

  test('prefers the chosen answer in at least 85 % of pairs on topics it never saw', () => {
    expect(once.last['evalRewardAccuracy']).toBeGreaterThanOrEqual(0.85);
    expect(once.last['evalLoss']).toBeLessThan(Math.LN2);
    expect(once.last['firstStepLoss']).toBeCloseTo(Math.LN2, 4);
    expect(existsSync(join(volumes, 'models', 'starter-dpo', 'model.safetensors'))).toBe(true);
  });

  test('stays nearer to the reference with ten times the beta', () => {
    const spec = quickstart
      .replace('beta: 0.1', 'beta: 1.0')
      .replace('name: quickstart', 'name: near')
      .replace('starter-dpo', 'starter-near');
    const near = train(volumes, spec);
    expect(near.last['beta']).toBe(1);
    expect(near.last['evalKL']).toBeLessThan(once.last['evalKL'] as number);
  }, 1_800_000);
});
