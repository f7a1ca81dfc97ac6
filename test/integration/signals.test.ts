import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { gaugeNames } from '../../trainer-image/metrics/names.ts';
import type { Metrics } from '../../crds/progress.ts';
import { jobGaugeNames } from '../../operator/serve/names.ts';
import { train } from '../../trainer-image/train.ts';
import { promtoolPath } from '../cluster/install.ts';
import { listen, prepareMade, type Heard } from '../trainer-image/in-process.ts';
import { signalJobs, trainApart, type SignalJob } from '../trainer-image/signal-jobs.ts';

/** A record stands for so many minutes: as slow as the step of a large model. */
const minutesEach = 5;

/** The course of each figure as Prometheus would have scraped it, at one record in five minutes and half an hour on. */
function seriesOf({ beats }: Heard, dpojob: string): { series: string; values: string }[] {
  const known: Metrics = {};
  const records = beats
    .filter(({ metrics }) => metrics !== undefined)
    .map(({ metrics }) => ({ ...Object.assign(known, metrics) }));
  const last = records.at(-1) as Metrics;
  const scraped = [...records, ...Array<Metrics>(6).fill(last)].flatMap((record) =>
    Array<Metrics>(minutesEach).fill(record),
  );
  const labels = `{namespace="a",dpojob="${dpojob}"}`;
  const figures = Object.keys(last) as (keyof Metrics)[];
  return [
    {
      series: `dpo_job_state{namespace="a",dpojob="${dpojob}",state="Running"}`,
      values: scraped.map(() => 1).join(' '),
    },
    ...figures.flatMap((figure) =>
      [jobGaugeNames[figure], gaugeNames[figure]].map((name) => ({
        series: name + labels,
        values: scraped.map((record) => record[figure] ?? '_').join(' '),
      })),
    ),
  ];
}

const alertOf: Record<string, string> = {
  MarginRunaway: 'DPOMarginRunaway',
  HeldOutLossRising: 'DPOHeldOutLossRising',
  LikelihoodDisplacement: 'DPOLikelihoodDisplacement',
  FirstStepLoss: 'DPOFirstStepLoss',
};

test('each alert fires on the real figures of a run on data made for it, and on no other', async () => {
  const runs = new Map<string, Heard>([['FirstStepLoss', await trainApart()]]);
  for (const [reason, { spec, make }] of Object.entries(signalJobs) as [string, SignalJob][]) {
    const heard = listen();
    await train(prepareMade(spec, make).run, 'test', heard);
    runs.set(reason, heard);
  }
  const input = [...runs].flatMap(([reason, heard]) => seriesOf(heard, reason.toLowerCase()));
  const longest = Math.max(...input.map(({ values }) => values.split(' ').length));
  // Fired at any time of its run: the last state of each alert is summed over the whole time.
  const fired = Object.entries(alertOf).map(([reason, alert]) => ({
    labels: `{alertname="${alert}",dpojob="${reason.toLowerCase()}"}`,
    value: 1,
  }));
  const cases = {
    rule_files: [resolve('charts/dpo-operator/files/rules.yaml')],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: input,
        promql_expr_test: [
          {
            expr: `count by (alertname, dpojob) (max_over_time(ALERTS{alertstate="firing",dpojob!=""}[${longest}m]))`,
            eval_time: `${longest}m`,
            exp_samples: fired,
          },
        ],
      },
    ],
  };
  const file = join(mkdtempSync(join(tmpdir(), 'signals-')), 'cases.yaml');
  writeFileSync(file, stringify(cases));
  const { status, stdout, stderr } = spawnSync(promtoolPath(), ['test', 'rules', file], { encoding: 'utf8' });
  expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
}, 60_000);
