import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startControlPlane, type ControlPlane } from '../cluster/control-plane.ts';
import { kubeallPath } from '../cluster/install.ts';

const script = (file: string, ...args: string[]): { status: number | null; stdout: string } =>
  spawnSync(process.execPath, [join(import.meta.dirname, '..', 'cluster', file), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });

const configMap = (name: string): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { owner: name } });

describe('two control planes side by side', () => {
  let planes: ControlPlane[] = [];
  beforeAll(async () => {
    planes = await Promise.all([startControlPlane(), startControlPlane()]);
  }, 180_000);
  afterAll(() => planes.forEach((plane) => plane.stop()));

  test('keep what is applied to each to themselves', () => {
    planes.forEach((plane, index) =>
      expect(plane.kubectl(['apply', '-f', '-'], configMap(`of-${index}`)).code).toBe(0),
    );
    planes.forEach((plane, index) => {
      const get = (name: string): string =>
        plane.kubectl(['get', 'configmap', name, '-o', 'jsonpath={.data.owner}']).output;
      expect(get(`of-${index}`)).toBe(`of-${index}`);
      expect(get(`of-${1 - index}`)).toContain('NotFound');
    });
  });

  test('run the controllers and the scheduler: a Job gets a pod, which waits for a node', async () => {
    const [plane] = planes as [ControlPlane];
    expect(plane.kubectl(['create', 'job', 'one', '--image=none', '--', 'true']).code).toBe(0);
    const reason = ['get', 'pods', '-l', 'job-name=one', '-o', 'jsonpath={.items[*].status.conditions[*].reason}'];
    while (plane.kubectl(reason).output === '') await sleep(100);
    expect(plane.kubectl(reason).output).toBe('Unschedulable');
  }, 60_000);
});

test('up.ts leaves a control plane running that down.ts ends', () => {
  const kubeconfig = script('up.ts', 'test-up-down').stdout.trim();
  const version = (): { status: number | null; stdout: string } =>
    spawnSync(kubeallPath(), ['kubectl', '--kubeconfig', kubeconfig, 'get', '--raw', '/readyz'], { encoding: 'utf8' });
  try {
    expect(version().stdout).toBe('ok');
    expect(script('up.ts', 'test-up-down').stdout.trim()).toBe(kubeconfig);
  } finally {
    expect(script('down.ts', 'test-up-down').status).toBe(0);
  }
  expect(existsSync(kubeconfig)).toBe(false);
}, 120_000);
