import { caseNames, cases, memoryGoals } from './cases.ts';
import { percent, times } from './report.ts';
import type { Results } from './results.ts';
import { runOf } from './runs.ts';

/** At least so much of the matmul limit is aimed at, and at most so many seconds to the end of the first step. */
const [limitGoal, firstStepGoal] = [0.85, 60];

export const goalHead = ['goal', 'asked for', 'measured', ''];

/** Each goal with what a run has come to, and whether that is enough. */
export function goalRows(results: Results): string[][] {
  const { cases: summaries } = runOf(results);
  const row = (what: string, asked: string, measured: string, met: boolean): string[] => {
    return [what, asked, measured, met ? 'met' : '**missed**'];
  };
  const faster = caseNames.flatMap((name) => {
    const [{ title, goal }, summary] = [cases[name], summaries[name]];
    if (summary === undefined) return [];
    const { timesFaster } = summary;
    return [row(`faster than TRL: ${title}`, `at least ${times(goal)}`, times(timesFaster), timesFaster >= goal)];
  });
  const { hh } = summaries;
  const share = (what: string, of: number, most: number): string[] =>
    row(`memory beside TRL's ${what} setting: ${cases.hh.title}`, `at most ${most}`, of.toFixed(2), of <= most);
  const memory =
    hh === undefined
      ? []
      : [share('fastest', hh.ofFastest, memoryGoals.ofFastest), share('leanest', hh.ofLeanest, memoryGoals.ofLeanest)];
  const limits = Object.values(summaries).map(({ ofMatmulLimit }) => ofMatmulLimit);
  const [least, most] = [Math.min(...limits), Math.max(...limits)];
  const firstSteps = Object.values(results.cases).map(({ ours }) => ours[0]?.firstStepSeconds ?? Infinity);
  const slowest = Math.max(...firstSteps);
  return [
    ...faster,
    ...memory,
    row('of the matmul limit', percent(limitGoal), `${percent(least)} to ${percent(most)}`, least >= limitGoal),
    row('to the end of the first step', `${firstStepGoal} s`, `${slowest.toFixed(1)} s`, slowest <= firstStepGoal),
  ];
}
