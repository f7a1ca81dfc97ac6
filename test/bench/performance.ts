import { writeFileSync } from 'node:fs';
import { caseNames, cases, discarded, duelSteps, memoryGoals, pairsPerStep } from './cases.ts';
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

const epochText = ({ pairs, setting, trl, ours }: EpochResult): string => `## A whole epoch

${pairs} pairs with HH-RLHF's lengths and both sides' reference pass (over those held out too), TRL with ${setting}, one after the other. The loss
of the same held-out pairs afterwards must agree within 1 %.

${markdown([epochHead, epochRow(`TRL`, pairs, trl), epochRow('ours', pairs, ours)])}`;

/** docs/performance.md of a result: no figure in it is written by hand. */
export function performanceText(results: Results): string {
  const names = caseNames.filter((name) => results.cases[name] !== undefined);
  const of = (name: (typeof names)[number]): CaseResult => results.cases[name] as CaseResult;
  const loads = names.map((name) => of(name).load.toFixed(1)).join(', ');
  const { machine, versions } = results;
  const counted = of('hh').ours.length - discarded;
  const sections = [
    `<!-- Made by \`npm run bench -- --peer\` from test/bench/result.json: do not edit. -->

# Performance

A model of SmolLM2-135M's shape (${pairsPerStep} pairs an optimizer step, float32, all weights unless a case says LoRA) on ${threads} threads of ${machine.processor}
(${machine.cores} cores), against Hugging Face TRL ${versions['trl']} on PyTorch in the fastest of its settings for each case: float32, no recomputation of activations,
the reference computed before, fused AdamW, sdpa, glibc keeping its pages where the setting does not say one arena. Both sides take the same optimizer steps on the same pairs in turns, one step
each while the other sleeps; ${discarded} rounds are not counted, ${counted} are. Tokens count each prompt once, for both sides. Losses and gradient norms of
both sides agree in every step to ${largestDifference(names.map(of))} of their value. Begun ${results.started.slice(0, 16).replace('T', ' ')} UTC, sources ${results.sources}. Load average at the end of each duel, of which it makes up about two: ${loads}.`,
    `## Against TRL\n\n${markdown([ratioHead, ...names.map((name) => ratioRow(cases[name], of(name)))])}`,
    `Times faster: TRL's seconds in all rounds that count by ours. The rounds are of unlike length, so that their median says less. The goals are the
project's; for memory they are ${memoryGoals.ofFastest} of the fastest and ${memoryGoals.ofLeanest} of the leanest of TRL's settings in the first case; the leanest is measured in three
steps, TRL's fastest and ours in ${of('hh').ours.length}, the longest among them in both. Where several of TRL's settings are nearly as fast, each has a duel, and the one
that is shown is TRL's best. The matmul limit is the time that the floating point operations which cannot be avoided would take at
the best rate of a 2048×576×1536 product in the same process (\`test/bench/work.ts\` says what is counted).`,
    `## Runs in a row\n\nOf the same sources on the same machine, the latest first.\n\n${markdown([runHead, ...[runOf(results), ...results.earlier].flatMap(runRows)])}`,
    `## Ours\n\n${markdown([oursHead, ...names.map((name) => oursRow(cases[name], duelSteps(cases[name], of(name).setting), of(name).ours))])}

The first step's time is from the start of the process, recording and compiling included, without the reference pass.`,
    `## TRL's settings\n\nTwo steps on the same pairs in each setting, after one that is not counted.\n\n${markdown([probeHead, ...names.flatMap((name) => probeRows(cases[name], of(name)))])}`,
    ...(results.epoch === undefined ? [] : [epochText(results.epoch)]),
  ];
  return `${sections.join('\n\n')}\n`;
}

export function writePerformance(results: Results): void {
  writeFileSync(performanceFile, performanceText(results));
  console.log(`${performanceFile} is written`);
}
