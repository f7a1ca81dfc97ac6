import { describe, expect, test } from '@jest/globals';
import { dashboard } from '../../charts/monitoring/dashboard.ts';
import { alerts } from '../../charts/monitoring/rules.ts';
import * as operatorNames from '../../operator/serve/names.ts';
import * as trainerNames from '../../trainer-image/metrics/names.ts';

/** Whatever the tables of names hold, as names or as descriptions with a name. */
const namesIn = (value: unknown): string[] =>
  typeof value === 'string' ? [value] : Object.values(value as object).flatMap(namesIn);
const names = new Set([operatorNames, trainerNames].flatMap((tables) => Object.values(tables).flatMap(namesIn)));
const metricsIn = (expression: string): string[] =>
  expression.match(/\b(?:dpo_[a-z_]+|leader_election[a-z_]+|workqueue_[a-z_]+|controller_runtime[a-z_]+)\b/g) ?? [];

interface Panel {
  title: string;
  type: string;
  targets?: { expr: string; refId: string }[];
  panels?: Panel[];
}
const panels = ((dashboard().panels ?? []) as unknown as Panel[]).flatMap((one) => [one, ...(one.panels ?? [])]);
const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

describe('the dashboard', () => {
  test('shows what a training is judged by', () => {
    const titles = panels.map(({ title }) => title);
    for (const title of [
      'Loss',
      'Beta',
      'Reward margin',
      'Reward accuracy',
      'Held-out loss',
      'Data findings',
      'Jobs by state',
    ]) {
      expect(titles).toContain(title);
    }
  });

  test('asks only for metrics that are exported, and each panel for one at least', () => {
    for (const panel of panels.filter(({ type }) => type !== 'row')) expect(panel.targets?.length).toBeGreaterThan(0);
    expect(expressions.flatMap(metricsIn).filter((name) => !names.has(name))).toEqual([]);
    expect(expressions.every((expression) => metricsIn(expression).length > 0)).toBe(true);
  });

  test('uses only variables that it declares, and tells the targets of a panel apart', () => {
    const declared = new Set(dashboard().templating?.list?.map(({ name }) => name));
    const used = JSON.stringify(dashboard()).match(/\$\{?[a-z]+\}?/g) ?? [];
    expect(used.map((one) => one.replaceAll(/[${}]/g, '')).filter((one) => !declared.has(one))).toEqual([]);
    for (const { targets = [] } of panels) expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
  });
});

test('alert rules ask only for metrics that are exported, and say what to do', () => {
  expect(alerts.flatMap(({ expr }) => metricsIn(expr)).filter((name) => !names.has(name))).toEqual([]);
  for (const { description, summary } of alerts)
    expect([description.length, summary.length].every((n) => n > 20)).toBe(true);
});
