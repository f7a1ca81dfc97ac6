import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { startControlPlane, type ControlPlane } from '../cluster/control-plane.ts';
import { helmPath } from '../cluster/install.ts';
import { applyMonitoringCrds } from '../cluster/prometheus.ts';

/** The chart by itself, on a control plane without nodes: what it refuses, what it grants, and what becomes of the CRD. */
jest.setTimeout(120_000);
let plane: ControlPlane;
const chart = 'charts/dpo-operator';
const images = ['--set', 'image.repository=example/operator', '--set', 'trainer.image=example/trainer'];

function helm(...args: string[]): { code: number; output: string } {
  const { status, stdout, stderr } = spawnSync(helmPath(), args, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    env: { ...process.env, KUBECONFIG: plane.kubeconfig },
  });
  return { code: status ?? 1, output: stdout + stderr };
}
function succeeds({ code, output }: { code: number; output: string }): string {
  if (code !== 0) throw new Error(output);
  return output;
}
const kubectl = (...args: string[]): string => succeeds(plane.kubectl(args));

interface Rule {
  apiGroups?: string[];
  resources?: string[];
  verbs: string[];
}
interface Made {
  kind: string;
  metadata: { name: string; namespace?: string };
  rules?: Rule[];
  spec?: object;
}
const rendered = (...args: string[]): Made[] =>
  parseAllDocuments(
    succeeds(helm('template', 'dpo', chart, '--kube-version', '1.34.0', '-n', 'dpo-system', ...images, ...args)),
  )
    .map((document) => document.toJS() as Made | null)
    .filter((made) => made !== null);

beforeAll(async () => {
  plane = await startControlPlane();
});
afterAll(() => plane?.stop());

test('passes helm lint', () => {
  expect(succeeds(helm('lint', '--strict', chart, ...images))).toContain('0 chart(s) failed');
});

test.each([
  ['replicas=-1', 'replicas'],
  ['monitoring.intervall=5s', 'intervall'],
  ['logLevel=loud', 'logLevel'],
])('refuses %s and names it', (value, named) => {
  const { code, output } = helm('template', 'dpo', chart, ...images, '--set', value);
  expect(code).not.toBe(0);
  expect(output).toContain(named);
});

describe.each([
  ['of the whole cluster', [] as string[]],
  ['of two namespaces', ['--set', 'watchNamespaces={team-a,team-b}']],
])('as the operator %s', (_, values) => {
  test('it has no right on Secrets and no wildcard', () => {
    const rules = rendered(...values).flatMap((made) => made.rules ?? []);
    expect(rules.length).toBeGreaterThan(3);
    for (const { apiGroups = [], resources = [], verbs } of rules) {
      expect([...apiGroups, ...resources, ...verbs]).not.toContain('*');
      expect(resources).not.toContain('secrets');
    }
  });
});

test('two replicas by default, of which one may be away at a time; a single one has no budget that would stop a drain', () => {
  const workload = (...values: string[]): object[] =>
    rendered(...values)
      .filter(({ kind }) => ['Deployment', 'PodDisruptionBudget'].includes(kind))
      .map(({ kind, spec }) => ({ kind, spec }));
  const matchLabels = { 'app.kubernetes.io/name': 'dpo-operator', 'app.kubernetes.io/instance': 'dpo' };
  expect(workload()).toMatchObject([
    { kind: 'PodDisruptionBudget', spec: { maxUnavailable: 1, selector: { matchLabels } } },
    { kind: 'Deployment', spec: { replicas: 2, selector: { matchLabels } } },
  ]);
  expect(workload('--set', 'replicas=1')).toMatchObject([{ kind: 'Deployment', spec: { replicas: 1 } }]);
  expect(workload('--set', 'podDisruptionBudget.enabled=false')).toMatchObject([{ kind: 'Deployment' }]);
});

test('the operator may do with each kind what it does, and nothing else', () => {
  const rights = rendered()
    .filter(({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'dpo')
    .flatMap(({ rules = [] }) => rules.map(({ resources, verbs }) => `${resources?.join()}: ${verbs.join(' ')}`));
  expect(rights).toEqual([
    'dpojobs: get list watch delete',
    'dpojobs/status: patch',
    'dpojobs/finalizers: update',
    'jobs: get list watch create delete',
    'pods: list watch',
    'configmaps: get create',
    'persistentvolumeclaims: get create',
    'events: list create patch',
  ]);
});

test('with watchNamespaces it has rights on jobs in these and its own namespace only', () => {
  const made = rendered('--set', 'watchNamespaces={team-a,team-b}');
  const onJobs = made.filter(({ rules }) => rules?.some(({ resources }) => resources?.includes('jobs')));
  expect(onJobs.map(({ kind, metadata }) => `${kind} ${metadata.namespace}`).sort()).toEqual([
    'Role team-a',
    'Role team-b',
  ]);
});

describe('on a cluster', () => {
  const crd = 'dpojobs.training.dpo-operator.io';
  const columns = (): string =>
    kubectl('get', 'crd', crd, '-o', 'jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}');
  const install = (command: string[], from: string): string =>
    succeeds(helm(...command, 'dpo', from, '--namespace', 'dpo-system', '--create-namespace', ...images));

  test('leaves out the monitors with a notice where their kinds are not installed', () => {
    // As an older version of the chart would be: its CRD lacks a column.
    const older = join(mkdtempSync(join(tmpdir(), 'chart-')), 'dpo-operator');
    cpSync(chart, older, { recursive: true });
    const file = join(older, 'files', 'dpojob.yaml');
    const whole = readFileSync(file, 'utf8');
    const without = whole.replace(/ *- name: Margin\n(?: {10,}[a-z].*\n)+/, '');
    expect(without).not.toBe(whole);
    writeFileSync(file, without);
    const notes = install(['install'], older);
    expect(notes).toMatch(/ServiceMonitor/);
    expect(columns()).not.toContain('Margin');
    expect(kubectl('get', 'deployment,configmap', '-n', 'dpo-system', '-o', 'name')).toContain('deployment.apps/dpo');
  });

  test('upgrades the CRD, and makes the monitors once their kinds are there', () => {
    kubectl('apply', '-f', 'crds/examples/minimal.yaml');
    applyMonitoringCrds(plane);
    install(['upgrade'], chart);
    expect(columns()).toContain('Margin');
    const kinds = kubectl('get', 'servicemonitor,podmonitor,prometheusrule', '-n', 'dpo-system', '-o', 'name');
    expect(kinds.trim().split('\n')).toHaveLength(3);
  });

  test('keeps the CRD and every DPOJob when it is uninstalled', () => {
    succeeds(helm('uninstall', 'dpo', '--namespace', 'dpo-system'));
    expect(kubectl('get', 'crd', crd, '-o', 'name')).toContain(crd);
    expect(kubectl('get', 'dpojobs', '-o', 'name').trim()).not.toBe('');
    expect(kubectl('get', 'deployments', '-n', 'dpo-system', '-o', 'name').trim()).toBe('');
  });
});
