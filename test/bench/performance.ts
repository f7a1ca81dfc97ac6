import { writeFileSync } from 'node:fs';
import { caseNames, cases, discarded, duelSteps, pairsPerStep } from './cases.ts';
import {
  epochHead,
  epochRow,
  markdown,
  oursHead,
  oursRow,
  probeHead,
  probeRows,
  ratioHead,
  ratioRow,
  runHead,
  runRows,
} from './report.ts';
import { goalHead, goalRows } from './goals.ts';
import { runOf } from './runs.ts';
import type { CaseResult, EpochResult, Results } from './results.ts';
import { stepDifference } from './equal-work.ts';
import { threads } from './side.ts';

export const performanceFile = 'docs/performance.md';

/** The largest difference of a loss or gradient norm between both sides, over all cases and steps. */
function largestDifference(measured: readonly CaseResult[]): string {
  const differences = measured.flatMap(({ trl, ours }) =>
    trl.map((step, i) => stepDifference(step, ours[i] as (typeof ours)[number])),
  );
  return Math.max(...differences).toExponential(1);
}

const epochText = ({ pairs, setting, trl, ours }: EpochResult): string => `### A whole epoch

${pairs} pairs, both sides' reference pass (over those held out too), TRL with ${setting}, one after the other.

${markdown([epochHead, epochRow(`TRL`, pairs, trl), epochRow('ours', pairs, ours)])}`;

/** What was measured on one machine. */
function machineText(results: Results): string {
  const names = caseNames.filter((name) => results.cases[name] !== undefined);
  const of = (name: (typeof names)[number]): CaseResult => results.cases[name] as CaseResult;
  const loads = names.map((name) => of(name).load.toFixed(1)).join(', ');
  const { machine, versions, started, sources } = results;
  const sections = [
    `## ${machine.cores} cores of ${machine.processor}

Begun ${started.slice(0, 16).replace('T', ' ')} UTC, sources ${sources}, TRL ${versions['trl']}. Losses and gradient norms of both sides agree in every step to
${largestDifference(names.map(of))} of their value. Load average at the end of each duel, of which it makes up about two: ${loads}.${results.note === undefined ? '' : `\n\n${results.note}`}`,
    markdown([goalHead, ...goalRows(results)]),
    `### Against TRL\n\n${markdown([ratioHead, ...names.map((name) => ratioRow(cases[name], of(name)))])}`,
    `### Runs in a row\n\n${markdown([runHead, ...[runOf(results), ...results.earlier].flatMap(runRows)])}`,
    `### Ours\n\n${markdown([oursHead, ...names.map((name) => oursRow(cases[name], duelSteps(cases[name], of(name).setting), of(name).ours))])}`,
    `### TRL's settings\n\n${markdown([probeHead, ...names.flatMap((name) => probeRows(cases[name], of(name)))])}`,
    ...(results.epoch === undefined ? [] : [epochText(results.epoch)]),
  ];
  return sections.join('\n\n');
}

/** docs/performance.md of the results of some machines: no figure in it is written by hand. */
export function performanceText(machines: readonly Results[]): string {
  const rounds = cases.hh.groups.length;
  return `<!-- Made by \`npm run bench -- --peer\` from test/bench/results: do not edit. -->

# Performance

A model of SmolLM2-135M's shape (${pairsPerStep} pairs an optimizer step, float32, all weights unless a case says LoRA) on ${threads} threads, against Hugging Face TRL
on PyTorch: float32, no recomputation of activations, the reference computed before, fused AdamW, sdpa, glibc keeping its pages where the setting
does not say one arena. How they compare depends on the processor.

- **A duel**: both sides take the same optimizer steps on the same pairs in turns, one step each while the other sleeps; ${discarded} rounds are not
  counted, ${rounds} are. Tokens count each prompt once, for both sides.
- **TRL's fastest setting** is found by two steps on the same pairs in each, after one that is not counted. Those within 10 % of the fastest have a
  duel each, and the one that is shown is TRL's best.
- **Times faster**: TRL's seconds in all rounds that count by ours. The rounds are of unlike length, so that their median says less.
- **Memory**: the highest that was resident. That of TRL's leanest setting is of three steps, of its fastest and ours of ${discarded + rounds}, the longest among
  them in each. Its goals are for the first case.
- **The matmul limit** is the time that the floating point operations which cannot be avoided would take at the best rate of a 2048×576×1536
  product that the process saw (\`test/bench/work.ts\` says what is counted; blocks that are run again are not). On a processor with a matrix
  unit for bfloat16 (AMX) that product is our own, which is as near to the exact one as float32's and nearly twice as fast
  ([decision 0018](decisions/0018-float32-on-matrix-units.md)); PyTorch has none there.
- **The first step**'s time is from the start of the process, recording and compiling included, without the reference pass.
- **A whole epoch**: pairs with HH-RLHF's lengths; the loss of the same held-out pairs afterwards must agree within 1 %.

${machines.map(machineText).join('\n\n')}
`;
}

export function writePerformance(machines: readonly Results[]): void {
  writeFileSync(performanceFile, performanceText(machines));
  console.log(`${performanceFile} is written`);
}
