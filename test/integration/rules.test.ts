import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { alerts } from '../../charts/monitoring/rules.ts';
import { promtoolPath } from '../cluster/install.ts';

const cases = 'test/charts/rules.promtool.yaml';
const promtool = (...args: string[]): { status: number | null; output: string } => {
  const { status, stdout, stderr } = spawnSync(promtoolPath(), args, { encoding: 'utf8' });
  return { status, output: stdout + stderr };
};

test('promtool takes the alert rules', () => {
  const { status, output } = promtool('check', 'rules', 'charts/dpo-operator/files/rules.yaml');
  expect(output).toContain(`${alerts.length} rules found`);
  expect(status).toBe(0);
});

test('every alert fires on its trouble and none on a healthy job', () => {
  expect(promtool('test', 'rules', cases)).toMatchObject({ status: 0 });
  const text = readFileSync(cases, 'utf8');
  expect(alerts.filter(({ alert }) => !text.includes(`alertname="${alert}"`))).toEqual([]);
});
