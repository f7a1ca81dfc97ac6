import { usualLeaseSeconds } from '../../../operator/loop/elector.ts';
import { markdown } from '../report.ts';
import type { Machine } from '../results.ts';
import type { Burst, Churn, Failover, Latency, Many } from './scenarios.ts';

export interface ScaleResult {
  time: string;
  machine: Machine;
  load: number;
  latency: Latency;
  burst: Burst;
  many: Many;
  failover: Failover;
  /** Measured by itself, perhaps on another machine. */
  churn?: Churn & { machine: Machine };
}

const verdict = (holds: boolean): string => (holds ? 'met' : 'missed');
const milliseconds = (value: number): string => `${value.toFixed(0)} ms`;
const seconds = (value: number): string => `${value.toFixed(1)} s`;
const mebibytes = (value: number): string => `${value.toFixed(0)} MiB`;

/** What was asked for beside what was measured. */
export function scaleRows({ latency, burst, many, failover }: ScaleResult): string[][] {
  const both = `${milliseconds(latency.p50)} / ${milliseconds(latency.p99)}`;
  return [
    ['what', 'budget', 'measured', ''],
    [
      'DPOJob created until its Job is there, one at a time, p50 / p99',
      '100 / 300 ms',
      both,
      verdict(latency.p50 < 100 && latency.p99 < 300),
    ],
    [`${burst.count} DPOJobs at once: all Jobs`, '60 s', seconds(burst.jobsSeconds), verdict(burst.jobsSeconds <= 60)],
    ['Jobs made twice', '0', String(burst.duplicates), verdict(burst.duplicates === 0)],
    [
      "requests in a DPOJob's life, progress included",
      '12 without',
      burst.requests.toFixed(1),
      verdict(burst.requests <= 12),
    ],
    [
      `memory at ${many.count} DPOJobs that run, and their Jobs and Pods: most`,
      '256 MiB',
      mebibytes(many.peakMemory),
      verdict(many.peakMemory < 256),
    ],
    [
      'leader killed until the next leads',
      `${usualLeaseSeconds + 5} s`,
      seconds(failover.seconds),
      verdict(failover.seconds <= usualLeaseSeconds + 5),
    ],
    [
      `Jobs made twice by it, or not at all of ${failover.between} DPOJobs created meanwhile`,
      '0',
      String(failover.duplicates + failover.missing),
      verdict(failover.duplicates + failover.missing === 0),
    ],
  ];
}

const churnText = ({
  minutes,
  lives,
  memory,
  growth,
  machine,
}: NonNullable<ScaleResult['churn']>): string => `## Coming and going

On ${machine.cores} cores of ${machine.processor}, ${lives} DPOJobs were made, ran, ended and were deleted in ${minutes} minutes, 100 at a time. The operator's memory went from ${mebibytes(memory[0] ?? NaN)} after the first
minute to ${mebibytes(memory.at(-1) ?? NaN)}; after the first quarter it grows by ${growth.toFixed(1)} MiB an hour (the line of least squares).`;

/** docs/scale-operator.md of a result: no figure in it is written by hand. */
export function scaleText(result: ScaleResult): string {
  const { machine, load, burst, many, latency, churn } = result;
  const methods = Object.entries(burst.byMethod).filter(([, count]) => count >= 0.05);
  const sections = [
    `<!-- Made by \`npm run bench -- --scale\` from test/bench/scale/result.json: do not edit. -->

# How much the operator carries

Measured on ${machine.cores} cores of ${machine.processor} (load average at the end ${load.toFixed(1)}), which etcd, API server, controller-manager, scheduler, the nodes that kwok plays
and the benchmark share. Memory is that of the operator's cgroup without pages of files that could be dropped, as \`kubectl top\` tells it; the cgroup has the chart's limit, by which Node.js sizes its heap.`,
    markdown(scaleRows(result)),
    `## More of it

${markdown([
  ['what', 'measured'],
  ['DPOJobs measured one at a time', String(latency.count)],
  [`${burst.count} at once: until all are Complete (a pod runs for 20 s)`, seconds(burst.completeSeconds)],
  [
    "requests in a DPOJob's life by method",
    methods.map(([method, count]) => `${method} ${count.toFixed(1)}`).join(', '),
  ],
  ['deepest queue', String(burst.deepestQueue)],
  [`${many.count} DPOJobs: until all run`, seconds(many.runningSeconds)],
  ['memory once all run', mebibytes(many.memory)],
  ['trainers asked a second', many.answers.toFixed(0)],
  ['writes a second meanwhile', many.statusWrites.toFixed(1)],
  ['a reconcile meanwhile, p50 / p99 at most', `${many.reconcileP50} / ${many.reconcileP99} s`],
  ['keys that wait meanwhile', String(many.queueDepth)],
  ['a scrape of /metrics', `${many.scrape.seconds.toFixed(2)} s, ${many.scrape.megabytes.toFixed(1)} MB`],
])}`,
    ...(churn === undefined ? [] : [churnText(churn)]),
  ];
  return `${sections.join('\n\n')}\n`;
}
